"""What a golden server does -> how late and how busy it was between two times. Cheap per event."""

import time
from array import array
from bisect import bisect_left, bisect_right
from typing import Any

from astrometer.clock import wall_minus_perf_s

TICK_S = 0.1  # how often the server notes its own CPU time


class Account:
    """What the server knows of itself: when each event was due, how late it was, the CPU time over time."""

    def __init__(self) -> None:
        self.streams = 0
        self.blocked = 0  # sends for which the client's socket had no room
        self._sent_at = array("d")  # when it was due + how late: ascending
        self._lateness_s = array("d")
        self._ticks = array("d", [time.perf_counter()])
        self._cpu_s = array("d", [time.process_time()])

    def note(self, due: float, late_s: float) -> None:
        self._sent_at.append(due + late_s)
        self._lateness_s.append(late_s)

    def tick(self, now: float) -> None:
        if now - self._ticks[-1] >= TICK_S:
            self._ticks.append(now)
            self._cpu_s.append(time.process_time())

    def between(self, start: float, end: float) -> dict[str, Any]:
        """Events sent, lateness and CPU share between two readings of `perf_counter`."""
        first, last = bisect_left(self._sent_at, start), bisect_right(self._sent_at, end)
        late = sorted(self._lateness_s[first:last])
        one, other = bisect_left(self._ticks, start), bisect_right(self._ticks, end) - 1
        share = None
        if 0 <= one < other:
            share = (self._cpu_s[other] - self._cpu_s[one]) / (self._ticks[other] - self._ticks[one])
        return {
            "streams": self.streams,
            "events": len(late),
            "lateness_p50_s": late[len(late) // 2] if late else None,
            "lateness_p99_s": late[int(len(late) * 0.99)] if late else None,
            "cpu_share": share,
            "sends_that_blocked": self.blocked,
            "clock_s": wall_minus_perf_s(),
        }
