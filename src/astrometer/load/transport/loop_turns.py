"""gevent's loop -> since when what it finds may have waited for it: whether its readers were in time.

Whenever the loop slept, nothing was there when it fell asleep, and the first that came woke it: at most as
long before as this thread then waited for a processor, which the system counts. Where it has not slept for
long, the polls before this one did not tell of it. A poll tells of as many sockets as it has room for, and
doubles its room when that is full: so the last poll proves nothing, and some polls together do.
"""

import os
from collections import deque
from time import perf_counter
from typing import Any

import gevent

_SLEPT_S = 0.001  # a poll that took longer did, without the time of waiting for a processor
_WAKING_S = 0.0001  # from a segment's arrival until this thread is ready to run
_SAMPLE_S = 0.005
POLLS = 5  # from room for 64 sockets to more than 1,000
_SCHEDSTAT = "/proc/thread-self/schedstat"  # ns on a processor, ns of waiting for one, how often


class LoopTurns:
    """Of one loop."""

    def __init__(self, loop: Any) -> None:
        self._sampled_at = perf_counter()
        self._polls = deque([self._sampled_at], maxlen=POLLS)  # when the last ones began
        self._pid, self._schedstat = 0, -1
        self._waited_s = self._waiting_s()
        # Of the last long one: when it began and ended, and how long this thread had waited until then.
        self._long = (self._sampled_at, self._sampled_at, self._waited_s)
        # Last before the loop waits for what is to come, and first after that.
        self._watchers = (
            loop.prepare(ref=False, priority=loop.MINPRI),
            loop.check(ref=False, priority=loop.MAXPRI),
        )
        for watcher, callback in zip(self._watchers, (self._sleeps, self._wakes), strict=True):
            watcher.start(callback)

    @property
    def unread_since(self) -> float:
        """For a reader that this turn woke."""
        (began, ended, before_s), now_s = self._long, self._waiting_s()
        if before_s is not None and now_s is not None:
            waited_s = now_s - before_s  # since that poll began, or longer: never too short
            if ended - began - waited_s > _SLEPT_S:
                return max(self._polls[0], ended - waited_s - _WAKING_S)
        return self._polls[0]

    def _sleeps(self) -> None:
        now = perf_counter()
        self._polls.append(now)
        if now - self._sampled_at > _SAMPLE_S:
            self._sampled_at, self._waited_s = now, self._waiting_s()

    def _wakes(self) -> None:
        now, began = perf_counter(), self._polls[-1]
        if now - began > _SLEPT_S:
            self._long = (began, now, self._waited_s)

    def _waiting_s(self) -> float | None:
        """How long this thread was ready to run, and did not. None where the system does not say."""
        try:
            if self._pid != os.getpid():  # a fork has its parent's file
                self._pid, self._schedstat = os.getpid(), os.open(_SCHEDSTAT, os.O_RDONLY | os.O_CLOEXEC)
            return int(os.pread(self._schedstat, 64, 0).split()[1]) / 1e9
        except (OSError, IndexError):
            return None


def turns_of_loop() -> LoopTurns:
    """Of this thread's, made once."""
    hub = gevent.get_hub()
    turns: LoopTurns | None = getattr(hub, "astrometer_turns", None)
    if turns is None:
        turns = hub.astrometer_turns = LoopTurns(hub.loop)
    return turns
