"""A command -> a child process in a group of its own, its log file, its readiness and its death."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx

# What a child needs of the caller's environment; keys, proxies and settings of the caller stay out.
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH")
SECRET = re.compile(r"abk_[\w-]+|(?i:password|密码)\W{1,3}\S+")


class ChildError(RuntimeError):
    """A child process that did not become ready; the text ends with its log's end, secrets masked."""


class Child:
    """A child process; its output goes to `log`."""

    def __init__(
        self, command: Sequence[str | Path], *, cwd: Path, log: Path, environment: Mapping[str, str]
    ) -> None:
        self.log = log
        inherited = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        with log.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603
                [str(part) for part in command],
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**inherited, **environment},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the process; SIGKILL also ends what it started."""
        if not self.running:
            return
        if number == signal.SIGKILL:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)

    def end(self, *, patience_s: float = 5.0) -> None:
        """SIGTERM, then SIGKILL after `patience_s`; returns when it is gone."""
        self.kill(signal.SIGTERM)
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.kill(signal.SIGKILL)
            self.process.wait()

    def log_tail(self) -> str:
        """The end of the log, secrets masked."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return SECRET.sub("***", text[-3000:])


def wait_until(ready: Callable[[], bool], child: Child, *, timeout_s: float, what: str) -> None:
    """Poll `ready` every 50 ms. Raises ChildError when time is up or the child died."""
    give_up = time.monotonic() + timeout_s
    while not ready():
        if not child.running:
            raise ChildError(
                f"{what} ended (exit {child.process.returncode}) before it was ready:\n{child.log_tail()}"
            )
        if time.monotonic() > give_up:
            raise ChildError(f"{what} was not ready after {timeout_s:g} s:\n{child.log_tail()}")
        time.sleep(0.05)


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def wait_for_json(url: str, child: Child, *, timeout_s: float, what: str) -> None:
    """Return when a GET of `url` is answered 200 with JSON. Raises ChildError, as `wait_until`."""
    with httpx.Client(timeout=2, trust_env=False) as client:  # to make one takes long: it reads certificates
        wait_until(lambda: answers_json(client, url), child, timeout_s=timeout_s, what=what)


def answers_json(client: httpx.Client, url: str) -> bool:
    try:
        response = client.get(url)
    except httpx.TransportError:
        return False
    return response.status_code == 200 and "json" in response.headers.get("content-type", "")
