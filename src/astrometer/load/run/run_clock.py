"""A monotonic clock -> seconds since a run's start. The wall clock is read once, for labels only.

Somebody may set the wall clock while a run goes on: no window, rate or timeline comes from it.
"""

import time
from collections.abc import Callable


class RunClock:
    """`elapsed_s`: how old the run is already, in a process that joins it late."""

    def __init__(
        self,
        elapsed_s: float = 0.0,
        *,
        now: Callable[[], float] = time.perf_counter,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._now = now
        self._start = now() - elapsed_s
        self._stop: float | None = None
        self.started_at = wall() - elapsed_s  # epoch seconds: a label

    def now(self) -> float:
        return self._now()

    def since_start(self, t: float) -> float:
        """Seconds of the run at the reading `t` of the clock."""
        return t - self._start

    @property
    def elapsed_s(self) -> float:
        """Until now, or until nothing new began any more."""
        return (self._stop if self._stop is not None else self._now()) - self._start

    @property
    def is_over(self) -> bool:
        """Nothing new begins; what runs is drained."""
        return self._stop is not None

    def stop(self) -> None:
        if self._stop is None:
            self._stop = self._now()
