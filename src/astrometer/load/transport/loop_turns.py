"""gevent's loop -> since when what it finds may have waited for it: whether its readers were in time."""

from time import perf_counter
from typing import Any

import gevent


class LoopTurns:
    """Of one loop. Something that came while it was busy has waited since `unread_since` at the earliest."""

    def __init__(self, loop: Any) -> None:
        self.unread_since = self._woke = self._slept = perf_counter()
        # Last before the loop waits for what is to come, and first after that.
        self._watchers = (
            loop.prepare(ref=False, priority=loop.MINPRI),
            loop.check(ref=False, priority=loop.MAXPRI),
        )
        for watcher, callback in zip(self._watchers, (self._sleeps, self._wakes), strict=True):
            watcher.start(callback)

    def _sleeps(self) -> None:
        self._slept = perf_counter()

    def _wakes(self) -> None:
        t = perf_counter()
        # What came while it slept woke it; what came in the turn before has waited for the rest of that turn.
        self.unread_since = t - (self._slept - self._woke)
        self._woke = t


def turns_of_loop() -> LoopTurns:
    """Of this thread's, made once."""
    hub = gevent.get_hub()
    turns: LoopTurns | None = getattr(hub, "astrometer_turns", None)
    if turns is None:
        turns = hub.astrometer_turns = LoopTurns(hub.loop)
    return turns
