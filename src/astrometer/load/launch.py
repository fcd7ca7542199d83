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
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Thread
from types import MappingProxyType
from typing import Any, get_args

from astrometer.api.endpoints import Scope
from astrometer.config.settings import Target
from astrometer.load.options import SCOPE_VARIABLES, Settings, arguments
from astrometer.tethered import Tethered
from astrometer.units import plain_number
from astrometer.wire import tls

# What belongs to one target: a child gets its own target's and no others.
KEY_VARIABLES = (
    *("ASTRBOT_API_KEY", "ASTRBOT_API_KEY_FILE", *SCOPE_VARIABLES.values()),
    *tls.VARIABLES.values(),
    "ASTRBOT_MESSENGER_URL",  # where there is one, the command says it
)
MESSENGER_TOKEN = "ASTRBOT_MESSENGER_TOKEN"  # noqa: S105 (a name)
MESSENGER_TOKEN_VARIABLES = (MESSENGER_TOKEN, "ASTRBOT_MESSENGER_TOKEN_FILE")
LOCUST = "astrometer.load.locust_process"  # as a module
DEFAULT_USERS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class UserLevel:
    """How many Locust users there are, how fast they start, and what each stands for."""

    users: int
    spawn_rate: float
    rate_unit: float | None = None  # open model: arrivals per second of each

    @classmethod
    def of(cls, users: int | None, rate: float | None, spawn_rate: float | None = None) -> "UserLevel":
        if rate is not None:
            number, unit = _users_for(rate)
            return cls(users=number, spawn_rate=spawn_rate or float(number), rate_unit=unit)
        number = users or DEFAULT_USERS
        return cls(users=number, spawn_rate=spawn_rate or max(1.0, number / 2))

    @property
    def ramp_s(self) -> float:
        return (self.users - 1) // self.spawn_rate

    def given(self) -> dict[str, str]:
        """What it adds to the options of the run."""
        return {} if self.rate_unit is None else {"rate_unit": plain_number(self.rate_unit)}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """What to run. Times in seconds; `duration_s` None: until stopped by hand.

    `given`: options of the run, by the names of `Settings`' fields. With a shape or a search among them,
    users, spawn rate and duration say nothing.
    """

    locustfile: Path
    target: Target
    users: int
    spawn_rate: float
    duration_s: float | None
    stop_timeout_s: float
    processes: int | None = None
    out: Path
    web_port: int | None = None  # None: no web UI
    given: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    extra: Sequence[str] = ()

    @property
    def settings(self) -> Settings:
        """Of the run. Raises OptionError."""
        return Settings.given({**self._messenger(), **self.given})

    def with_given(self, **more: Any) -> "LoadPlan":
        return replace(self, given={**self.given, **more})

    def at_rate(self, per_s: float) -> "LoadPlan":
        """The same with so many arrivals per second, in the open model."""
        level = UserLevel.of(None, per_s)
        return replace(self, users=level.users, spawn_rate=level.spawn_rate).with_given(**level.given())

    def command(self) -> list[str]:
        ui = ["--headless"]
        if self.web_port is not None:
            ui = ["--autostart", "--web-host", "127.0.0.1", "--web-port", str(self.web_port)]
        return [
            *("-f", str(self.locustfile), "--host", self.target.url),
            *self._amount(),
            *("--stop-timeout", f"{self.stop_timeout_s:.0f}"),  # Locust knows no fractions
            *self._processes(),
            *ui,
            *arguments({**self._messenger(), **self.given, **self._tls(), "out": self.out, "progress": True}),
            # The verdict is in results.json; a failed request alone is none.
            *("--only-summary", "--exit-code-on-error", "0", "--logfile", str(self.out / "locust.log")),
            *self.extra,
        ]

    def _tls(self) -> dict[str, Any]:
        return {name: value for name in tls.VARIABLES if (value := getattr(self.target.tls, name))}

    def _messenger(self) -> dict[str, Any]:
        """The target's own; what was given goes before it."""
        own = self.target.messenger
        return {} if own is None else {"messenger": own.url}

    def _messenger_token(self) -> dict[str, str]:
        """That of the target's own messenger, where it is the one that is used."""
        own = self.target.messenger
        if own is None or self.settings.messenger != (own.url,):
            return {}
        return {MESSENGER_TOKEN: own.token.reveal()}

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
        if self.given.get("searches") or self.given.get("shape"):
            return []
        seconds = [] if self.duration_s is None else ["--run-time", f"{self.duration_s:.0f}s"]
        return ["--users", str(self.users), "--spawn-rate", f"{self.spawn_rate:g}", *seconds]

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The child's environment: the caller's, with the target's keys instead of any others.

        The token of a messenger that was given besides (--messenger) is the caller's.
        """
        own = {SCOPE_VARIABLES[scope]: secret for scope, secret in self.keys().items()}
        token = self._messenger_token()
        others = (*KEY_VARIABLES, *(MESSENGER_TOKEN_VARIABLES if token else ()))
        return {**{name: value for name, value in environ.items() if name not in others}, **own, **token}

    def keys(self) -> dict[Scope, str]:
        """The target's key for each scope that it has one for."""
        found = {scope: self.target.key_for(scope) for scope in get_args(Scope)}
        return {scope: key.secret.reveal() for scope, key in found.items() if key is not None}

    def shell(self) -> str:
        """The same for a person to type, without the key."""
        return shlex.join(["locust", *self.command()])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _users_for(rate_per_s: float) -> tuple[int, float]:
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
    on_results: Callable[[bytes], object] = lambda _: None,
) -> int:
    """Run Locust until its end; returns its exit code. Ctrl-C and SIGTERM end it in order, twice at once.

    `interrupted` is called at each of them, for a caller with more to do than this run. `on_results` is
    called with results that Locust could not write, as JSON in a line (or with nothing).
    """
    plan.out.mkdir(parents=True, exist_ok=True)
    # In a session of its own, so that Ctrl-C reaches Locust's master alone, and workers through it.
    child = Tethered(LOCUST, plan.command(), env=plan.environment(os.environ if environ is None else environ))
    reader = Thread(target=lambda: on_results(child.read_all()), daemon=True)
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
