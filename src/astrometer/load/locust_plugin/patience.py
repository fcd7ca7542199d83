"""Many that finish one after the other -> how long to wait for the rest. Pure."""

import time
from collections.abc import Callable


class Patience:
    """It ends when nobody finishes for a while: `first_s` in which one must, then `next_s` after each."""

    def __init__(self, first_s: float, next_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._next_s = next_s
        self._now = now
        self._ends = now() + first_s
        self._finished = 0

    def lasts(self, finished: int) -> bool:
        """`finished`: how many have, by now."""
        if finished > self._finished:
            self._finished = finished
            self._ends = max(self._ends, self._now() + self._next_s)
        return self._now() < self._ends
