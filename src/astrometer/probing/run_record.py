"""What a run may take, what it does as it happens, and what it must undo. Values only."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from astrometer.api.call_exchange import CallResult
from astrometer.api.chat_exchange import ChatTurn
from astrometer.api.timings import Timings
from astrometer.probing.cleanup.leak_journal import LeakEntry
from astrometer.probing.verdict import LogLine, ScopeCheck

MAX_LOG_LINES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds. `total_s` is the whole run's, the others are each chat's own."""

    total_s: float = 60.0
    connect_s: float = 10.0
    first_token_s: float = 60.0
    idle_s: float = 30.0
    cleanup_s: float = 15.0


@dataclass(slots=True, kw_only=True)
class Record:
    """Everything that a run did, as it happens; the runner makes a `ProbeRun` of it."""

    turns: list[ChatTurn] = field(default_factory=list)
    calls: list[CallResult] = field(default_factory=list)
    command_tokens: Counter[str] = field(default_factory=Counter)  # by direction
    phases: dict[str, float] = field(default_factory=dict)
    scope_checks: list[ScopeCheck] = field(default_factory=list)
    stays: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    log: list[LogLine] = field(default_factory=list)


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
