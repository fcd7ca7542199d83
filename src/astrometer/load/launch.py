"""A plan of a load test -> one `locust` child process, its key in the environment and never in its arguments.

Adds nothing that plain Locust could not do with the same locustfile: `LoadPlan.command` is the proof. Imports
neither locust nor gevent.
"""

import os
import shlex
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, get_args

from astrometer import tls
from astrometer.api.endpoints import Scope
from astrometer.config.settings import Target
from astrometer.load.options import SCOPE_VARIABLES
from astrometer.load.schedule.profile import Profile
from astrometer.measure.capacity.search_settings import SearchSettings
from astrometer.tethered import Tethered

# What belongs to one target: a child gets its own target's and no others.
KEY_VARIABLES = (
    *("ASTRBOT_API_KEY", "ASTRBOT_API_KEY_FILE", *SCOPE_VARIABLES.values()),
    *tls.VARIABLES.values(),
)


LOCUST = "astrometer.load.locust_process"  # as a module


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
    warmup_s: float = 0.0
    rate_unit: float | None = None  # open model: arrivals per second of each user
    arrivals: str = "poisson"
    shape: Profile | None = None  # instead of users, spawn rate and duration
    search: SearchSettings | None = None  # the same
    abort_after_s: float | None = None  # end the run when an objective is not met, so long after the warm-up
    budget_tokens: int | None = None
    stall_threshold_s: float | None = None  # None: as Locust's argument says
    username: str | None = None  # one for all users, whose sessions can be deleted
    journal: Path | None = None
    extra: Sequence[str] = ()

    def command(self) -> list[str]:
        """The arguments of `locust`."""
        ui = ["--headless"]
        if self.web_port is not None:
            ui = ["--autostart", "--web-host", "127.0.0.1", "--web-port", str(self.web_port)]
        return [
            *("-f", str(self.locustfile), "--host", self.target.url),
            *self._amount(),
            *("--stop-timeout", f"{self.stop_timeout_s:.0f}"),  # Locust knows no fractions
            *self._processes(),
            *(("--warmup", _seconds(self.warmup_s)) if self.warmup_s else ()),
            *self._open_model(),
            *(
                ("--stall-threshold", _seconds(self.stall_threshold_s))
                if self.stall_threshold_s is not None
                else ()
            ),
            *ui,
            *self._limits(),
            *(part for slo in self.slos for part in ("--slo", slo)),
            *("--astrometer-out", str(self.out), "--astrometer-progress"),
            # The verdict is in results.json; a failed request alone is none.
            *("--only-summary", "--exit-code-on-error", "0", "--logfile", str(self.out / "locust.log")),
            *self.extra,
        ]

    def _limits(self) -> list[str]:
        """What ends the run early, and what is noted of its names."""
        return [
            *(("--abort-on-fail", _seconds(self.abort_after_s)) if self.abort_after_s is not None else ()),
            *(("--budget-tokens", str(self.budget_tokens)) if self.budget_tokens else ()),
            *(("--run-username", self.username) if self.username else ()),
            *(("--astrometer-journal", str(self.journal)) if self.journal else ()),
        ]

    def _processes(self) -> list[str]:
        """Workers of this run's master alone: on Locust's own port two runs would hear each other."""
        if not self.processes:
            return []
        port = str(_free_port())
        return [
            *("--processes", str(self.processes)),
            *("--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port),
        ]

    def _amount(self) -> list[str]:
        if self.search is not None:
            return ["--capacity", str(self.search)]
        if self.shape is not None:
            return ["--shape", str(self.shape)]
        seconds = [] if self.duration_s is None else ["--run-time", f"{self.duration_s:.0f}s"]
        return ["--users", str(self.users), "--spawn-rate", f"{self.spawn_rate:g}", *seconds]

    def _open_model(self) -> list[str]:
        if self.search is not None:
            return ["--arrivals", self.arrivals] if self.search.is_rate else []
        if self.shape is not None:
            return ["--arrivals", self.arrivals] if self.shape.is_rate else []
        if self.rate_unit is None:
            return []
        return ["--rate-unit", f"{self.rate_unit:g}", "--arrivals", self.arrivals]

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The child's environment: the caller's, with the target's keys instead of any others."""
        keys = self.keys()
        kept = {name: value for name, value in environ.items() if name not in KEY_VARIABLES}
        own = {SCOPE_VARIABLES[scope]: secret for scope, secret in keys.items()}
        return {**kept, **own, **tls.to_environment(self.target.tls)}

    def keys(self) -> dict[Scope, str]:
        """The target's key for each scope that it has one for."""
        found = {scope: self.target.key_for(scope) for scope in get_args(Scope)}
        return {scope: key.secret.reveal() for scope, key in found.items() if key is not None}

    def shell(self) -> str:
        """The same for a person to type, without the key."""
        return shlex.join(["locust", *self.command()])


def _seconds(value: float) -> str:
    """To the millisecond, without an exponent."""
    return f"{value:.3f}".rstrip("0").rstrip(".") + "s"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def users_for(rate_per_s: float) -> tuple[int, float]:
    """How many users stand for a rate, and the arrivals per second of each.

    The largest of 1, 0.1 and 0.01 per second that divides the rate into ten users or more, so that a mix of
    scenarios keeps its weights and workers get equal shares.
    """
    for unit in (1.0, 0.1, 0.01):
        users = rate_per_s / unit
        if users >= 10 and abs(users - round(users)) < 1e-6:
            return round(users), unit
    users = max(10, round(rate_per_s))
    return users, rate_per_s / users


def run(
    plan: LoadPlan,
    environ: Mapping[str, str] | None = None,
    interrupted: Callable[[], object] = lambda: None,
    told: Callable[[bytes], object] = lambda _: None,
) -> int:
    """Run Locust until its end; returns its exit code. Ctrl-C and SIGTERM end it in order, twice at once.

    `interrupted` is called at each of them, for a caller with more to do than this run; `told` with results
    that Locust could not write, as JSON in a line (or with nothing).
    """
    plan.out.mkdir(parents=True, exist_ok=True)
    # In a session of its own, so that Ctrl-C reaches Locust's master alone, and workers through it.
    child = Tethered(LOCUST, plan.command(), env=plan.environment(os.environ if environ is None else environ))
    reader = Thread(target=lambda: told(child.told()), daemon=True)
    reader.start()
    with _forwarding(child, interrupted):
        code = child.wait()
    child.kill_all()  # workers that lag behind: they hold the other end, too
    reader.join()
    return code


@contextmanager
def _forwarding(child: Tethered, interrupted: Callable[[], object]) -> Iterator[None]:
    asked = 0

    def forward(_number: int, _frame: Any) -> None:
        nonlocal asked
        asked += 1
        interrupted()
        if child.poll() is None and asked == 1:
            child.send_signal(signal.SIGTERM)
        elif child.poll() is None:
            child.kill_all()

    # A closed terminal ends the load, unless nohup was asked for.
    heard = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    ignored = {number for number in heard if signal.getsignal(number) == signal.SIG_IGN}
    before = {number: signal.signal(number, forward) for number in heard - ignored}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if child.poll() is None:
            child.kill_all()
            child.wait()
