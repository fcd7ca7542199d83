"""What was asked for over time, whoever asked. The runner is a stand-in, the clock is the test's."""

import pytest

from astrometer.load.schedule.requested_users import STEP_S, RequestedUsers
from astrometer.measure.slo.validity import CauseKind


class Runner:
    """As far as `RequestedUsers` looks at one."""

    def __init__(self):
        self.now_s = 0.0
        self.state = "spawning"
        self.user_count = self.target_user_count = 0
        self.requested = RequestedUsers(self, lambda: self.now_s)

    def go(self, seconds, *, target, asked=None, users=None, state="running"):
        """`asked`: by the dispatcher, so far."""
        asked = target if asked is None else asked
        self.target_user_count, self.state = target, state
        self.user_count = asked if users is None else users
        self.requested.dispatched(asked)
        for _ in range(round(seconds / STEP_S)):
            self.now_s += STEP_S
            self.requested.note()


def test_users_that_were_changed_halfway_count_for_as_long_as_they_were_asked_for():
    runner = Runner()
    runner.go(10, target=20)
    runner.go(10, target=5)
    assert runner.requested.user_seconds(20) == pytest.approx(250)
    assert runner.requested.peak == 20


def test_a_ramp_counts_as_far_as_it_has_come():
    runner = Runner()
    for asked in range(1, 11):
        runner.go(1, target=10, asked=asked, state="spawning")
    assert runner.requested.user_seconds(10) == pytest.approx(55)


def test_users_that_never_came_are_a_cause():
    runner = Runner()
    runner.go(6, target=20, users=12)
    cause = runner.requested.shortfall(12)
    assert (cause.kind, cause.value, cause.limit) == (CauseKind.USERS_NOT_REACHED, 12, 20)


def test_users_that_were_there_once_are_none():
    runner = Runner()
    runner.go(1, target=20)
    runner.go(60, target=20, users=12)
    assert runner.requested.shortfall(20) is None


def test_users_that_are_done_and_leave_are_none():
    runner = Runner()
    runner.go(60, target=20, users=3)
    assert runner.requested.shortfall(20) is None


def test_a_ramp_that_is_not_over_is_none():
    runner = Runner()
    runner.go(60, target=20, users=12, state="spawning")
    runner.go(1, target=20, users=19)  # workers report late
    assert runner.requested.shortfall(19) is None


def test_what_was_asked_for_a_moment_ago_takes_nothing_back():
    runner = Runner()
    runner.go(10, target=1)
    runner.requested.dispatched(1000)
    assert runner.requested.user_seconds(9.9) == pytest.approx(10)  # workers hear of a change a little later
