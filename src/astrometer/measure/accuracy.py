"""Streams whose text says when each event was sent -> how wrong the measured times were. Pure.

A golden stream's text is the list of its send times (ns of `perf_counter`), one per content event. What was
measured of it are `ttft` and the chunk gaps, as in any other turn. Error = measured minus true; percentiles
are of its absolute value. `delay` is that of each single event: when it was noted minus when it was sent.
"""

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from astrometer.api.timings import Timings

LIMIT_S = 0.005  # what "within 5 ms" means
SERVER_CPU_LIMIT = 0.9


class Samples:
    """The errors of one process, and how many events they came from. Only what was noted in the window."""

    def __init__(self, window: tuple[float, float] = (-math.inf, math.inf)) -> None:
        self._from, self._to = window
        self.ttft_s = array("d")
        self.gap_s = array("d")
        self.delay_s = array("d")
        self.odd_streams = 0  # text and times do not match: events were lost or misread

    def add(self, timings: Timings, text: str) -> None:
        """One finished stream."""
        sent_s = [int(word) / 1e9 for word in text.split()]
        if timings.t_token1 is None or len(sent_s) != len(timings.chunk_gaps_s) + 1:
            self.odd_streams += 1
            return
        t, before_s = timings.t_token1, None
        for index, true_s in enumerate(sent_s):
            if index:
                t += timings.chunk_gaps_s[index - 1]
            if self._from <= t <= self._to:
                self.delay_s.append(t - true_s)
                if before_s is None:
                    self.ttft_s.append((t - timings.t_send) - (true_s - timings.t_send))
                else:
                    self.gap_s.append(timings.chunk_gaps_s[index - 1] - (true_s - before_s))
            before_s = true_s


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
class ServerAccount:
    """What the golden server says of itself, for the same window."""

    events: int
    lateness_p99_s: float | None
    cpu_share: float | None
    same_clock: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationStep:
    """One number of streams, measured."""

    streams: int
    processes: int
    gap_s: float
    duration_s: float
    ttft: ErrorSummary
    gap: ErrorSummary
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
        return self.delay.n / self.duration_s

    @property
    def cpu_us_per_event(self) -> float | None:
        return self.cpu_s / self.delay.n * 1e6 if self.delay.n else None

    def problem(self) -> str | None:
        """Why this step says nothing about the load processes; None when it does."""
        server = self.server
        if not server.same_clock:
            return "the clocks of the two processes cannot be compared on this system"
        if self.lost_processes:
            return f"{self.lost_processes} load processes did not report"
        if not self.delay.n:
            return "no events arrived"
        if not self.ttft.n or not self.gap.n:
            return "no stream began in the window, or none went on in it: longer --duration"
        if self.odd_streams or self.failed_streams:
            return f"{self.odd_streams + self.failed_streams} streams were not measured whole"
        if server.cpu_share is not None and server.cpu_share > SERVER_CPU_LIMIT:
            return f"the golden server was the bottleneck: {server.cpu_share:.0%} CPU"
        late_s = server.lateness_p99_s
        if late_s is not None and late_s > self.gap_s / 4:
            return f"the golden server was the bottleneck: p99 {late_s * 1e3:.1f} ms late by its own account"
        return None

    def within(self, limit_s: float) -> bool:
        """Every p99 within the limit. `delay` too: a constant lateness would not show in the gaps."""
        return all(errors.within(limit_s) for errors in (self.ttft, self.gap, self.delay))

    @property
    def trustworthy(self) -> bool:
        return self.problem() is None and self.within(LIMIT_S)


def most_streams(steps: Sequence[CalibrationStep]) -> int | None:
    """The most streams of ONE process within 5 ms; None when no step was trustworthy.

    Steps above the first one that was measured too badly do not count: that one did well by luck.
    """
    best: int | None = None
    for step in sorted(steps, key=lambda step: step.streams):
        if step.problem() is None and not step.within(LIMIT_S):
            break
        if step.trustworthy:
            best = max(best or 0, step.streams // step.processes)
    return best


def too_many(steps: Sequence[CalibrationStep]) -> bool:
    """Whether a number of streams was found that is measured too badly: only then is there a limit."""
    return any(step.problem() is None and not step.within(LIMIT_S) for step in steps)


def workers_for(streams: int, per_process: int) -> int:
    return math.ceil(streams / per_process)


def _rank(ordered: Sequence[float], percent: float) -> float | None:
    return ordered[max(1, math.ceil(percent / 100 * len(ordered))) - 1] if ordered else None
