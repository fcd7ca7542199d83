"""gevent's loop -> since when what it finds may have waited for it: whether its readers were in time.

Whenever the loop slept, nothing was there when it fell asleep, and the first that came woke it: at most as
long before as this thread then waited for a processor, which the system counts. Where it has not slept for
long, the polls before this one did not tell of it. A poll tells of as many sockets as it has room for, and
doubles its room when that is full: so the last poll proves nothing, and some polls together do.
"""

import math
from collections import deque
from time import perf_counter
from typing import Any

import gevent

from astrometer.wire.processor_wait import ProcessorWait

_SLEPT_S = 0.001  # a poll that took longer did, without the time of waiting for a processor
_WAKING_S = 0.0001  # from a segment's arrival until this thread is ready to run
_SAMPLE_S = 0.005
POLLS = 5  # from room for 64 sockets to more than 1,000


class LoopTurns:
    """Of one loop."""

    def __init__(self, loop: Any) -> None:
        self._sampled_at = perf_counter()
        self._polls = deque([self._sampled_at], maxlen=POLLS)  # when the last ones began
        self._processor = ProcessorWait()
        self._waited_s = self._processor.seconds()
        # Of the last long one: when it began and ended, and how long this thread had waited until then.
        self._long = (self._sampled_at, self._sampled_at, self._waited_s)
        self._woken_by: float | None = None  # what follows from that, once somebody asked
        # Last before the loop waits for what is to come, and first after that.
        self._watchers = (
            loop.prepare(ref=False, priority=loop.MINPRI),
            loop.check(ref=False, priority=loop.MAXPRI),
        )
        for watcher, callback in zip(self._watchers, (self._sleeps, self._wakes), strict=True):
            watcher.start(callback)

    def unread_since(self, t: float) -> float:  # noqa: ARG002 (when the last of it came)
        """For a reader that this turn woke."""
        if self._woken_by is None:
            self._woken_by = self._first_after_sleep()
        return max(self._polls[0], self._woken_by)

    def _first_after_sleep(self) -> float:
        """When the last long poll ended its sleep, at the earliest; -inf: it did not sleep for long."""
        (began, ended, before_s), now_s = self._long, self._processor.seconds()
        if before_s is not None and now_s is not None:
            waited_s = now_s - before_s  # since that poll began, or longer: never too short
            if ended - began - waited_s > _SLEPT_S:
                return ended - waited_s - _WAKING_S
        return -math.inf

    def _sleeps(self) -> None:
        now = perf_counter()
        self._polls.append(now)
        if now - self._sampled_at > _SAMPLE_S:
            self._sampled_at, self._waited_s = now, self._processor.seconds()

    def _wakes(self) -> None:
        now, began = perf_counter(), self._polls[-1]
        if now - began > _SLEPT_S:
            self._long, self._woken_by = (began, now, self._waited_s), None


def turns_of_loop() -> LoopTurns:
    """Of this thread's, made once."""
    hub = gevent.get_hub()
    turns: LoopTurns | None = getattr(hub, "astrometer_turns", None)
    if turns is None:
        turns = hub.astrometer_turns = LoopTurns(hub.loop)
    return turns
