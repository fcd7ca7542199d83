"""How many users Locust was asked for, at any time -> what a run should have seen, and whether it ever did.

Users come from the command line, a web form or any shape: the number at the end says little of a run. For the
process that dispatches them: the only one, or the master.
"""

from collections.abc import Callable
from typing import Any

import gevent

from astrometer.measure.slo.validity import Cause, users_not_reached

STEP_S = 0.2
ALL_SPAWNED = "running"  # a state of Locust's runner
REPORTED_AFTER_S = 5.0  # longer than workers take to report their users


class RequestedUsers:
    """Follows `runner`; `elapsed`: seconds since the run's start."""

    def __init__(self, runner: Any, elapsed: Callable[[], float]) -> None:
        self._runner = runner
        self._elapsed = elapsed
        self.peak = 0  # the most users that were asked for
        self._dispatched = 0
        self._since_s = 0.0
        self._area = 0.0  # users by seconds, until then
        self._waited_s = 0.0
        self._most = 0
        self._was_met = False
        self._greenlet: Any = None

    def start(self) -> None:
        self._greenlet = gevent.spawn(self._follow)

    def stop(self) -> None:
        if self._greenlet is not None:
            self._greenlet.kill(block=False)
            self._greenlet = None
            self.note()

    def dispatched(self, users: int) -> None:
        """From now on so many are asked for. In a ramp that is one after the other."""
        now_s = self._elapsed()
        self._area, self._dispatched, self._since_s = self.user_seconds(now_s), users, now_s

    def user_seconds(self, until_s: float) -> float:
        """Users by the seconds for which they were asked for."""
        return self._area + self._dispatched * max(0.0, until_s - self._since_s)

    def note(self) -> None:
        target, users = int(self._runner.target_user_count), int(self._runner.user_count)
        self.peak, self._most = max(self.peak, target), max(self._most, users)
        if self._runner.state == ALL_SPAWNED:
            self._waited_s += STEP_S
            self._was_met = self._was_met or users >= target

    def shortfall(self, began: int) -> Cause | None:
        """A cause, when all had been spawned and there were never as many as asked for.

        `began`: users that ever did; those that are done may leave.
        """
        if self._was_met or self._waited_s < REPORTED_AFTER_S or began >= self.peak:
            return None
        return users_not_reached(self._most, self.peak)

    def _follow(self) -> None:
        while True:
            gevent.sleep(STEP_S)
            self.note()
