"""A deadline that keeps moving, at the least cost per event. gevent only."""

import math
from time import perf_counter
from typing import Any, Self

import gevent


class Expired(Exception):
    """The exchange's deadline passed."""


class Ring(BaseException):
    """The alarm's time has come; thrown into the greenlet that set it."""


class Alarm:
    """Wakes this greenlet at a time that keeps moving away, with few timers.

    Setting a timer for every `recv` costs CPU time per event. So the one that runs is left alone while the
    deadline only moves later; when it rings too early, about once per timeout, it is set anew.
    """

    def __init__(self) -> None:
        self._timer: Any = None
        self._rings_at = math.inf

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.close()

    def set(self, deadline: float, t: float) -> None:
        """Ring at `deadline` or earlier. Raises Expired when it had passed at `t`, maybe long ago."""
        if deadline <= t:
            raise Expired
        if self._rings_at <= deadline:
            return
        if self._timer is not None:
            self._timer.close()
        gevent.get_hub().loop.update_now()  # or it counts from the start of the loop's round
        self._timer = gevent.Timeout.start_new(max(0.0, deadline - perf_counter()), Ring)
        self._rings_at = deadline

    def has_rung(self) -> None:
        """Maybe a little early: gevent's clock stands still during a round of its loop."""
        self._rings_at = math.inf
