"""The comments of one pull request, as GitHub's API gives, adds and changes them."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

ISSUES = "/repos/o/r/issues"


class FakeGitHub:
    def __init__(self) -> None:
        self.comments: list[dict] = []
        self.tokens: set[str] = set()
        self.refuses = 0  # with this status
        self.url = ""

    def add(self, body: str, kind: str = "User") -> dict:
        made = {"id": len(self.comments) + 1, "body": body, "user": {"type": kind}}
        self.comments.append(made)
        return made

    def answer(self, method: str, path: str, body: str) -> dict | list:
        asked = urlsplit(path)
        if method == "GET":
            assert asked.path == f"{ISSUES}/7/comments"
            page, size = (int(parse_qs(asked.query)[name][0]) for name in ("page", "per_page"))
            return self.comments[(page - 1) * size : page * size]
        if method == "POST":
            assert asked.path == f"{ISSUES}/7/comments"
            return self.add(body, "Bot")
        number = int(asked.path.removeprefix(f"{ISSUES}/comments/"))
        self.comments[number - 1]["body"] = body
        return self.comments[number - 1]


@contextmanager
def fake_github() -> Iterator[FakeGitHub]:
    github = FakeGitHub()

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            github.tokens.add(self.headers["Authorization"])
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length))["body"] if length else ""
            told = {} if github.refuses else github.answer(self.command, self.path, body)
            self.send_response(github.refuses or 200)
            self.end_headers()
            self.wfile.write(json.dumps(told).encode())

        do_GET = do_POST = do_PATCH = _do  # noqa: N815 (http.server's names)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    github.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield github
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
