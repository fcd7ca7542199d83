"""What a run may take, what it does as it happens, and what it must undo. Values only."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

from astrometer.api.call_exchange import CallResult
from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.timings import Timings
from astrometer.config.settings import ProbeSettings, Target
from astrometer.im.im_turn import ImTurn
from astrometer.masking import mask
from astrometer.outside_text import shown
from astrometer.probing.cleanup.leak_journal import LeakEntry
from astrometer.probing.verdict import LogLine, ScopeCheck

MAX_LOG_LINES = 500
LOG_CHARS = 500
DEFAULTS = ProbeSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds. `total_s` is the whole run's, the others are each chat's own."""

    total_s: float = DEFAULTS.timeout_s
    connect_s: float = DEFAULTS.connect_s
    first_token_s: float = DEFAULTS.timeout_s
    idle_s: float = DEFAULTS.idle_s
    cleanup_s: float = DEFAULTS.cleanup_s


class Record:
    """Everything that a run did, as it happens, without keys; the runner makes a `ProbeRun` of it."""

    def __init__(self, target: Target) -> None:
        self._secrets = target.secrets
        self.started = perf_counter()
        self.turns: list[ChatTurn] = []
        self.im_turns: list[ImTurn] = []
        self.calls: list[CallResult] = []
        self.command_tokens: Counter[str] = Counter()  # by direction
        self.phases: dict[str, float] = {}
        self.measured: dict[str, float] = {}  # by the probe itself
        self.scope_checks: list[ScopeCheck] = []
        self.stays: list[str] = []
        self.notes: list[str] = []
        self.used_key = False
        self.log: list[LogLine] = []
        self.aside_s = 0.0  # spent on preparations, which are no part of the probe's duration

    def mask(self, text: str) -> str:
        """`text` without any key of the target."""
        return mask(text, self._secrets)

    def say(self, text: str, t: float | None = None) -> None:
        """A line of the log, with its time (`perf_counter`; now by default)."""
        if len(self.log) < MAX_LOG_LINES:
            t_s = (perf_counter() if t is None else t) - self.started
            self.log.append(LogLine(t_s=t_s, text=shown(self.mask(text), LOG_CHARS)))

    def note(self, text: str) -> None:
        """What an operator should know of this run."""
        line = shown(self.mask(text), LOG_CHARS)
        if line not in self.notes:
            self.notes.append(line)

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """What happens within does not count in the probe's duration."""
        began = perf_counter()
        try:
            yield
        finally:
            self.aside_s += perf_counter() - began


@dataclass(slots=True, kw_only=True)
class Cleanup:
    """Something made on the server, and how to remove it: `delete` answers whether it is surely gone."""

    resource: str
    delete: Callable[[], Awaitable[bool]]
    entry: LeakEntry | None = None  # in the journal, until it is gone


def question_phases(times: Timings, connecting: Mapping[str, float]) -> dict[str, float]:
    """The steps of one question in seconds, in order; one that was not reached is absent, never 0."""
    steps = {
        "headers": _minus(times.t_headers, times.t_send, sum(connecting.values())),
        "first_event": _minus(times.t_event1, times.t_headers),
        "first_token": _minus(times.t_token1, times.t_event1),
        "generation": _minus(times.t_tokenN, times.t_token1),
        "tail": times.tail_s,
    }
    return {**connecting, **{name: value for name, value in steps.items() if value is not None}}


def _minus(later: float | None, earlier: float | None, less: float = 0.0) -> float | None:
    return None if later is None or earlier is None else max(0.0, later - earlier - less)
