"""A webhook receiver and a push monitor as Uptime Kuma has it, on the loopback: what they got."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from waiting import PATIENCE_S

TOKEN = "s3cr3t-t0ken"


class Receivers:
    """`/hook/TOKEN` takes messages, `/api/push/TOKEN` pushes. `ails`: an HTTP status, "hang", or None."""

    def __init__(self) -> None:
        self.messages: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.pushes: list[dict[str, str]] = []
        self.asked = 0
        self.ails: int | str | None = None
        self.answer = b"ok"
        self.released = threading.Event()
        self.url = ""

    @property
    def hook(self) -> str:
        return f"{self.url}/hook/{TOKEN}"

    @property
    def push(self) -> str:
        """As Kuma shows it, to be copied."""
        return f"{self.url}/api/push/{TOKEN}?status=up&msg=OK&ping="

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.messages]

    def wait(self, count: int, limit_s: float = PATIENCE_S) -> list[dict[str, str]]:
        give_up = time.monotonic() + limit_s
        while len(self.messages) < count and time.monotonic() < give_up:
            time.sleep(0.02)
        return self.messages

    def take(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        self.asked += 1
        parts = urlsplit(path)
        if self.ails == "hang":
            self.released.wait(60)
            return 503, b""
        if self.ails is not None:
            return int(self.ails), b""
        if method == "POST" and parts.path == f"/hook/{TOKEN}":
            self.bodies.append(body)
            if body.startswith(b"{"):
                self.messages.append(json.loads(body))
            return 200, self.answer
        if parts.path == f"/api/push/{TOKEN}":
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            if not query.get("ping", "0").isdigit():
                return 400, b'{"ok":false,"msg":"Invalid ping value"}'
            self.pushes.append({"status": "up", "msg": "OK", **query})
            return 200, b'{"ok":true}'
        return 404, b'{"ok":false,"msg":"Monitor not found or not active."}'


@contextmanager
def receivers() -> Iterator[Receivers]:
    state = Receivers()

    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, answer = state.take(self.command, self.path, body)
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
            except OSError:
                self.close_connection = True  # whoever asked has given up

        do_GET = do_POST = respond  # noqa: N815

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    serving = threading.Thread(target=server.serve_forever, args=(0.05,), name="receivers")
    serving.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        state.released.set()
        server.shutdown()
        serving.join()
        server.server_close()
