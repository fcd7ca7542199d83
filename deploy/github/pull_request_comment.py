"""summary.md of a release test -> the summary of the step, and one comment in the pull request, updated.

Run by action.yml in a GitHub job, with Python alone. What goes wrong with the comment is told and changes no
exit code: a pull request from a fork may not write one, and the verdict is another step's.
"""

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MOST_CHARS = 60_000  # GitHub takes 65,536
UNDECIDED = "CANNOT TELL"  # in the first line of summary.md
PAGE, MOST_PAGES = 100, 30
TIMEOUT_S = 30
NO_RIGHT = ". The job needs `permissions: pull-requests: write`. A pull request from a fork cannot have it."


def main() -> None:
    environ = os.environ
    told = body_of(Path(environ["OUT"]), environ["NAME"], environ.get("EXIT_CODE", ""), run_url(environ))
    with Path(environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as summary:
        summary.write(told)
    event = json.loads(Path(environ["GITHUB_EVENT_PATH"]).read_text("utf-8"))
    number = (event.get("pull_request") or {}).get("number")
    if environ["COMMENT"] != "true" or number is None:
        return
    try:
        comment(Comments(environ, number), marker(environ["NAME"]), told)
    except (OSError, ValueError) as exc:  # urllib's errors are OSErrors
        sys.stdout.write(f"::warning::No comment in the pull request: {reason(exc)}\n")


def body_of(folder: Path, name: str, code: str, url: str) -> str:
    """What is shown: the summary of the test, or that there is none."""
    file = folder / "summary.md"
    if file.exists():
        text = file.read_text("utf-8")
    else:
        why = f"The test ended with exit code {code or 'unknown'} before it measured."
        text = f"### ⚠️ {name}: no result\n\n{why}"
    if len(text) > MOST_CHARS:
        text = text[:MOST_CHARS].rsplit("\n", 1)[0] + "\n\n(cut: all of it is in summary.md)"
    return f"{marker(name)}\n{text}\n\n[Log and reports]({url}){how_it_ends(text, code)}\n"


def how_it_ends(text: str, code: str) -> str:
    """A job that passes below "CANNOT TELL" says why."""
    if not code:
        return ""
    is_accepted = code == "0" and UNDECIDED in text.split("\n", 1)[0]
    accepted = ": what cannot be told is accepted (`accept-undecided`)" if is_accepted else ""
    return f" · exit code {code}{accepted}"


def marker(name: str) -> str:
    """By it the comment is found again. Markdown shows nothing of it."""
    return f"<!-- astrometer: {name} -->"


def run_url(environ: Any) -> str:
    server, repository = environ["GITHUB_SERVER_URL"], environ["GITHUB_REPOSITORY"]
    return f"{server}/{repository}/actions/runs/{environ['GITHUB_RUN_ID']}"


class Comments:
    """Those of one pull request."""

    def __init__(self, environ: Any, number: int) -> None:
        self._root = f"{environ['GITHUB_API_URL']}/repos/{environ['GITHUB_REPOSITORY']}/issues"
        self._number = int(number)
        self._token = environ.get("GITHUB_TOKEN", "")

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for page in range(1, MOST_PAGES + 1):
            found = self._ask("GET", f"{self._number}/comments?per_page={PAGE}&page={page}")
            yield from found
            if len(found) < PAGE:
                return

    def add(self, body: str) -> None:
        self._ask("POST", f"{self._number}/comments", body)

    def change(self, number: int, body: str) -> None:
        self._ask("PATCH", f"comments/{number}", body)

    def _ask(self, method: str, path: str, body: str | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 (GitHub's own address, from its environment)
            f"{self._root}/{path}",
            method=method,
            data=None if body is None else json.dumps({"body": body}).encode(),
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.build_opener(NoRedirects).open(request, timeout=TIMEOUT_S) as answer:
            return json.load(answer)


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """The token goes nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


def comment(comments: Comments, mark: str, body: str) -> None:
    """Change the comment that begins with the mark, or add one. Only a bot's: a quote of it is not ours."""
    ours = (
        item["id"]
        for item in comments
        if str(item.get("body") or "").startswith(mark) and (item.get("user") or {}).get("type") == "Bot"
    )
    number = next(ours, None)
    if number is None:
        comments.add(body)
    else:
        comments.change(number, body)


def reason(exc: Exception) -> str:
    if isinstance(exc, urllib.error.HTTPError):
        return f"GitHub answered {exc.code}{NO_RIGHT if exc.code in {401, 403, 404} else ''}"
    return type(exc).__name__


if __name__ == "__main__":
    sys.exit(main())
