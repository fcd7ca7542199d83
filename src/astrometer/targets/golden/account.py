"""What a golden server does -> how late and how busy it was between two times. Cheap per event."""

import time
from array import array
from bisect import bisect_left, bisect_right
from typing import Any

from astrometer.clock import wall_minus_perf_s

TICK_S = 0.1  # how often the server notes its own CPU time
# A send takes less on loopback, the way into the other socket included; else it was interrupted.
HELD_UP_NS = 50_000


class _Series:
    """Values, each with when it was noted: ascending."""

    def __init__(self) -> None:
        self._at = array("d")
        self._values = array("d")

    def note(self, at: float, value: float) -> None:
        self._at.append(at)
        self._values.append(value)

    def between(self, start: float, end: float) -> list[float]:
        """In ascending order."""
        return sorted(self._values[bisect_left(self._at, start) : bisect_right(self._at, end)])


class Account:
    """What the server knows of itself: when each event was due, how late it was, the CPU time over time."""

    def __init__(self) -> None:
        self.streams = 0
        self.blocked = 0  # sends for which the client's socket had no room
        self.held_up: list[int] = []  # times in texts after which the event left later than HELD_UP_NS
        self._lateness_s = _Series()
        self._ttft_s = _Series()
        self._gap_s = _Series()
        self._mean_gap_s = _Series()
        self._ticks = array("d", [time.perf_counter()])
        self._cpu_s = array("d", [time.process_time()])

    def note(self, due: float, late_s: float) -> None:
        self._lateness_s.note(due + late_s, late_s)

    def first(self, at: float, ttft_s: float) -> None:
        """The first event of a stream was sent, so long after its request arrived."""
        self._ttft_s.note(at, ttft_s)

    def gap(self, at: float, gap_s: float) -> None:
        """A later event was sent, so long after the one before it."""
        self._gap_s.note(at, gap_s)

    def whole(self, at: float, mean_gap_s: float) -> None:
        """A stream was sent to its end."""
        self._mean_gap_s.note(at, mean_gap_s)

    def tick(self, now: float) -> None:
        if now - self._ticks[-1] >= TICK_S:
            self._ticks.append(now)
            self._cpu_s.append(time.process_time())

    def between(self, start: float, end: float) -> dict[str, Any]:
        """Events sent, lateness, CPU share and the truth between two readings of `perf_counter`."""
        late = self._lateness_s.between(start, end)
        ttft, gaps, means = (
            series.between(start, end) for series in (self._ttft_s, self._gap_s, self._mean_gap_s)
        )
        one, other = bisect_left(self._ticks, start), bisect_right(self._ticks, end) - 1
        share = None
        if 0 <= one < other:
            share = (self._cpu_s[other] - self._cpu_s[one]) / (self._ticks[other] - self._ticks[one])
        return {
            "streams": self.streams,
            "events": len(late),
            "lateness_p50_s": _rank(late, 0.5),
            "lateness_p99_s": _rank(late, 0.99),
            "true_ttft_s": {"n": len(ttft), "p50": _rank(ttft, 0.5), "p99": _rank(ttft, 0.99)},
            "true_gap_s": {"n": len(gaps), "p50": _rank(gaps, 0.5), "p99": _rank(gaps, 0.99)},
            "true_mean_gap_s": {"n": len(means), "p50": _rank(means, 0.5), "p99": _rank(means, 0.99)},
            "cpu_share": share,
            "sends_that_blocked": self.blocked,
            "send_s": HELD_UP_NS / 1e9,
            "held_up_ns": self.held_up,
            "clock_s": wall_minus_perf_s(),
        }


def _rank(ordered: list[float], share: float) -> float | None:
    return ordered[int(len(ordered) * share)] if ordered else None
