"""A plan of a load test -> one `locust` child process, its key in the environment and never in its arguments.

Adds nothing that plain Locust could not do with the same locustfile: `LoadPlan.command` is the proof. Imports
neither locust nor gevent.
"""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import httpx

from astrometer.api import endpoints
from astrometer.api.endpoints import Scope
from astrometer.config import Target
from astrometer.load.options import SCOPE_VARIABLES

KEY_VARIABLES = ("ASTRBOT_API_KEY", "ASTRBOT_API_KEY_FILE", *SCOPE_VARIABLES.values())


class Unreachable(Exception):
    """The target does not answer; the text says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """What to run. Times in seconds; `duration_s` None: until stopped by hand."""

    locustfile: Path
    target: Target
    users: int
    spawn_rate: float
    duration_s: float | None
    stop_timeout_s: float
    processes: int | None
    slos: Sequence[str]
    out: Path
    web_port: int | None  # None: no web UI
    extra: Sequence[str] = ()

    def command(self) -> list[str]:
        """The arguments of `locust`."""
        seconds = [] if self.duration_s is None else ["--run-time", f"{self.duration_s:g}s"]
        ui = ["--headless"]
        if self.web_port is not None:
            ui = ["--autostart", "--web-host", "127.0.0.1", "--web-port", str(self.web_port)]
        return [
            *("-f", str(self.locustfile), "--host", self.target.url),
            *("--users", str(self.users), "--spawn-rate", f"{self.spawn_rate:g}"),
            *seconds,
            *("--stop-timeout", f"{self.stop_timeout_s:g}"),
            *(("--processes", str(self.processes)) if self.processes else ()),
            *ui,
            *(part for slo in self.slos for part in ("--slo", slo)),
            *("--astrometer-out", str(self.out), "--astrometer-progress"),
            # The verdict is in results.json; a failed request alone is none.
            *("--only-summary", "--exit-code-on-error", "0", "--logfile", str(self.out / "locust.log")),
            *self.extra,
        ]

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The child's environment: the caller's, with the target's keys instead of any others."""
        keys = self.keys()
        kept = {name: value for name, value in environ.items() if name not in KEY_VARIABLES}
        return {**kept, **{SCOPE_VARIABLES[scope]: secret for scope, secret in keys.items()}}

    def keys(self) -> dict[Scope, str]:
        """The target's key for each scope that it has one for."""
        found = {scope: self.target.key_for(scope) for scope in get_args(Scope)}
        return {scope: key.secret.reveal() for scope, key in found.items() if key is not None}

    def shell(self) -> str:
        """The same for a person to type, without the key."""
        return shlex.join(["locust", *self.command()])


def check_reachable(url: str, timeout_s: float = 5.0) -> None:
    """Raises Unreachable. Sends no key; any HTTP answer will do."""
    try:
        httpx.get(endpoints.START_TIME.url(url), timeout=timeout_s)
    except httpx.HTTPError as exc:
        reason = str(exc) or type(exc).__name__
        raise Unreachable(f"{url} does not answer: {reason}") from exc


def run(plan: LoadPlan, environ: Mapping[str, str] | None = None) -> int:
    """Run Locust until its end; returns its exit code. Ctrl-C and SIGTERM end it in order, twice at once."""
    plan.out.mkdir(parents=True, exist_ok=True)
    child = subprocess.Popen(  # noqa: S603 (our own interpreter)
        [sys.executable, "-m", "locust", *plan.command()],
        env=plan.environment(os.environ if environ is None else environ),
        stdin=subprocess.DEVNULL,
        # In a session of its own, so that Ctrl-C reaches Locust's master alone, and workers through it.
        start_new_session=True,
    )
    with _forwarding(child):
        return child.wait()


@contextmanager
def _forwarding(child: subprocess.Popen[bytes]) -> Iterator[None]:
    asked = 0

    def forward(_number: int, _frame: Any) -> None:
        nonlocal asked
        asked += 1
        if child.poll() is None and asked == 1:
            child.send_signal(signal.SIGTERM)
        elif child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
