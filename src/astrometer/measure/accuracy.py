"""Streams whose text says when each event was sent -> how wrong the measured times were. Pure.

A golden stream's text is the list of its send times (ns of `perf_counter`), one per content event. What was
measured of it are `ttft` and the chunk gaps with their bounds, as in any other turn. Error = told minus true;
percentiles are of its absolute value. `delay` is that of each single event: when it was noted minus when it
was sent.
"""

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from astrometer.api.timings import CERTAIN_S, Bounds, Timings

LIMIT_S = 0.005  # p99 of the errors of a process that stamps by itself, where nothing bounds them
SERVER_CPU_LIMIT = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """How well the golden server knows when it sent something.

    An event left it within `within_s` after the time in its text; those of the times `held_up` did not: it
    was interrupted in between, and they are not compared.
    """

    within_s: float = 0.0
    held_up: frozenset[int] = frozenset()


@dataclass(slots=True)
class MetricErrors:
    """Of one metric in one process, in seconds. `certain_s`: where the bounds are within a millisecond."""

    all_s: "array[float]" = field(default_factory=lambda: array("d"))
    certain_s: "array[float]" = field(default_factory=lambda: array("d"))
    outside: int = 0  # true values beyond their bounds
    outside_s: float = 0.0  # how far the furthest was

    def add(self, sample: Bounds, true_s: float, truth: Truth) -> None:
        error_s = sample.value - true_s
        self.all_s.append(error_s)
        if sample.high - sample.low <= CERTAIN_S:
            self.certain_s.append(error_s)
        # No bound claims more: a shorter interruption between the two clocks of a stamp is not seen.
        beyond_s = max(sample.low - true_s, true_s - sample.high) - truth.within_s - CERTAIN_S
        if beyond_s > 0:
            self.outside += 1
            self.outside_s = max(self.outside_s, beyond_s)

    def to_wire(self) -> dict[str, Any]:
        return {
            "all_s": list(self.all_s),
            "certain_s": list(self.certain_s),
            "outside": self.outside,
            "outside_s": self.outside_s,
        }


class Samples:
    """The errors of one process. Only what was noted in the window."""

    def __init__(
        self, window: tuple[float, float] = (-math.inf, math.inf), truth: Truth | None = None
    ) -> None:
        self._from, self._to = window
        self._truth = truth or Truth()
        self.ttft = MetricErrors()
        self.gap = MetricErrors()
        self.delay_s = array("d")
        self.events = 0
        self.odd_streams = 0  # text and times do not match: events were lost or misread

    def add(self, timings: Timings, text: str) -> None:
        sent_ns = [int(word) for word in text.split()]
        gaps_s, ttft_s, t = timings.chunk_gaps_s, timings.ttft_s, timings.t_token1
        if ttft_s is None or t is None or len(sent_ns) != len(gaps_s) + 1:
            self.odd_streams += 1
            return
        told = timings.bounds().get("ttft", (Bounds(ttft_s, ttft_s, ttft_s),))[0]
        self._event(t, sent_ns[0])
        if self._counts(t, sent_ns[:1]):
            self.ttft.add(told, sent_ns[0] / 1e9 - timings.t_send, self._truth)
        for at, gap_s in enumerate(gaps_s):
            t += gap_s
            ends = sent_ns[at : at + 2]
            self._event(t, ends[1])
            if self._counts(t, ends):
                low_s, high_s = timings.gap_bounds.get(at, (gap_s, gap_s))
                self.gap.add(Bounds(gap_s, low_s, high_s), (ends[1] - ends[0]) / 1e9, self._truth)

    def _event(self, t: float, sent_ns: int) -> None:
        if self._from <= t <= self._to:
            self.events += 1
            if self._counts(t, [sent_ns]):
                self.delay_s.append(t - sent_ns / 1e9)

    def _counts(self, t: float, sent_ns: Sequence[int]) -> bool:
        return self._from <= t <= self._to and self._truth.held_up.isdisjoint(sent_ns)

    def to_wire(self) -> dict[str, Any]:
        return {
            "ttft": self.ttft.to_wire(),
            "gap": self.gap.to_wire(),
            "delay_s": list(self.delay_s),
            "events": self.events,
            "odd_streams": self.odd_streams,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorSummary:
    """Of absolute errors in seconds; None without samples."""

    n: int
    p50: float | None
    p99: float | None
    max: float | None

    @classmethod
    def of(cls, errors_s: Iterable[float]) -> "ErrorSummary":
        ordered = sorted(map(abs, errors_s))
        return cls(n=len(ordered), p50=_rank(ordered, 50), p99=_rank(ordered, 99), max=_rank(ordered, 100))

    def within(self, limit_s: float) -> bool:
        return self.p99 is not None and self.p99 <= limit_s


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricAccuracy:
    """How wrong one metric was, in all processes."""

    all: ErrorSummary
    certain: ErrorSummary
    outside: int = 0  # samples whose true value was not within their bounds
    outside_s: float = 0.0  # how far beyond them the furthest was

    @classmethod
    def of(cls, wires: Sequence[Mapping[str, Any]]) -> "MetricAccuracy":
        """From the `MetricErrors` of each process."""
        return cls(
            all=ErrorSummary.of(error_s for wire in wires for error_s in wire["all_s"]),
            certain=ErrorSummary.of(error_s for wire in wires for error_s in wire["certain_s"]),
            outside=sum(wire["outside"] for wire in wires),
            outside_s=max((wire["outside_s"] for wire in wires), default=0.0),
        )

    @property
    def uncertain_share(self) -> float | None:
        return 1 - self.certain.n / self.all.n if self.all.n else None

    @property
    def within_share(self) -> float | None:
        return 1 - self.outside / self.all.n if self.all.n else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAccount:
    """What the golden server says of itself, for the same window."""

    events: int
    lateness_p99_s: float | None
    cpu_share: float | None
    same_clock: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationStep:
    streams: int
    processes: int
    clock: str  # who stamped what arrived: `kernel` or `user`
    gap_s: float
    duration_s: float
    events: int
    ttft: MetricAccuracy
    gap: MetricAccuracy
    delay: ErrorSummary
    cpu_s: float  # of the load processes
    cpu_max: float | None  # of the busiest one, a share of one core
    loop_lag_p99_s: float | None
    odd_streams: int = 0
    failed_streams: int = 0
    lost_processes: int = 0
    server: ServerAccount

    @property
    def events_per_s(self) -> float:
        return self.events / self.duration_s

    @property
    def cpu_us_per_event(self) -> float | None:
        return self.cpu_s / self.events * 1e6 if self.events else None

    @property
    def is_bounded(self) -> bool:
        """Whether anything bounds the errors: only a kernel's stamp tells how late the reader was."""
        return self.clock == "kernel"

    def problem(self) -> str | None:
        """Why this step says nothing about the load processes; None when it does."""
        server = self.server
        if not server.same_clock:
            return "the clocks of the two processes cannot be compared on this system"
        if self.lost_processes:
            return f"{self.lost_processes} load processes did not report"
        if server.cpu_share is not None and server.cpu_share > SERVER_CPU_LIMIT:
            return f"the golden server was the bottleneck: {server.cpu_share:.0%} CPU"
        late_s = server.lateness_p99_s
        if late_s is not None and late_s > self.gap_s / 4:
            return f"the golden server was the bottleneck: p99 {late_s * 1e3:.1f} ms late by its own account"
        if not self.events:
            return "no events arrived"
        if not self.ttft.all.n or not self.gap.all.n:
            return "no stream began in the window, or none went on in it: longer --duration"
        if self.odd_streams or self.failed_streams:
            return f"{self.odd_streams + self.failed_streams} streams were not measured whole"
        return None

    @property
    def holds(self) -> bool:
        """Whether the numbers of this step can be believed.

        With the kernel's stamps: every true value lay within its bounds. Without: p99 of the errors within
        5 ms; `delay` too, since a constant lateness would not show in the gaps.
        """
        if self.problem() is not None:
            return False
        if self.is_bounded:
            return not self.ttft.outside and not self.gap.outside
        return all(errors.within(LIMIT_S) for errors in (self.ttft.all, self.gap.all, self.delay))


def _rank(ordered: Sequence[float], percent: float) -> float | None:
    return ordered[max(1, math.ceil(percent / 100 * len(ordered))) - 1] if ordered else None
