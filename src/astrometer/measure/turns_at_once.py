"""Turns that begin and end -> how many were open at once, second by second. No clock of its own.

Each second has the mean number of open turns. Means of several processes add up, which their peaks do not.
"""

from collections import defaultdict
from collections.abc import Mapping

# AstrBot never has more requests open to one provider: the default pool of its HTTP client, in every version.
PROVIDER_LIMIT = 100
_SHORTEST_S = 2.0  # for a shorter time it has limited nothing


class TurnsAtOnce:
    """Of one process, or of several merged. Times are seconds since the run's start."""

    def __init__(self) -> None:
        self._open = 0
        self._t_s = 0.0
        self._turn_s: dict[int, float] = defaultdict(float)  # by the second: seconds times open turns

    def began(self, t_s: float) -> None:
        self._go_on(t_s)
        self._open += 1

    def ended(self, t_s: float) -> None:
        self._go_on(t_s)
        self._open -= 1

    def _go_on(self, t_s: float) -> None:
        """Count the time until then."""
        at = self._t_s
        self._t_s = max(at, t_s)
        if not self._open:
            return
        while at < t_s:
            border = min(t_s, int(at) + 1.0)
            self._turn_s[int(at)] += self._open * (border - at)
            at = border

    def take(self, t_s: float) -> dict[int, float]:
        """What was counted since the last call, for shipping."""
        self._go_on(t_s)
        taken, self._turn_s = dict(self._turn_s), defaultdict(float)
        return taken

    def merge(self, wire: Mapping[int, float]) -> None:
        for second, turn_s in wire.items():
            self._turn_s[int(second)] += turn_s

    def mean(self, start_s: float, end_s: float) -> float | None:
        """Between two times, in whole seconds; None for less than one."""
        seconds = range(round(start_s), round(end_s))
        return sum(map(self._at, seconds)) / len(seconds) if seconds else None

    def most(self, start_s: float, end_s: float) -> float:
        """In the second that had most."""
        return max(map(self._at, range(round(start_s), round(end_s))), default=0.0)

    def at_limit_s(self, start_s: float, end_s: float) -> float:
        """For how long as many were open as AstrBot opens requests; 0 where it was but a moment."""
        seconds = range(round(start_s), round(end_s))
        found = sum(self._at(second) >= PROVIDER_LIMIT for second in seconds)
        return float(found) if found >= _SHORTEST_S else 0.0

    def _at(self, second: int) -> float:
        return self._turn_s.get(second, 0.0)
