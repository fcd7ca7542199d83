"""What a search does with the users, second by second. The clock is the test's, so is the server."""

import itertools
from types import SimpleNamespace

import pytest

from astrometer.api.call_exchange import CallResult
from astrometer.api.outcome import Outcome
from astrometer.load.capacity.capacity_search import CapacitySearch
from astrometer.load.run.process_report import LOCAL
from astrometer.load.run.role import ProcessRole
from astrometer.load.run.run_clock import RunClock
from astrometer.load.run.time_slots import SlotBook, Slots, borders
from astrometer.load.schedule.arrivals import Process
from astrometer.measure.capacity.next_load import SearchEnd
from astrometer.measure.capacity.search_settings import SearchSettings
from astrometer.measure.slo.cause_sentences import sentence
from astrometer.measure.slo.run_verdict import Stop, StopReason
from astrometer.measure.slo.slo_parser import parse_objectives
from astrometer.measure.tally.tally import Tally
from astrometer.measure.turns_at_once import TurnsAtOnce


class Stage:
    """Users that ask twice a second, a server that takes `turn_s`, and a second hand that the test moves."""

    def __init__(self, *, turn_s=0.2, late_users=False, model_busy_s=0.0):
        self.now = 0.0
        self.turn_s = turn_s
        self.late_users = late_users
        self.users = 0
        self.running = []  # (t_s, when it ends)
        self.levels = []  # that were asked for
        self.idle_at = []
        settings = SimpleNamespace(
            objectives=parse_objectives(["errors < 1%"]), arrivals=Process.CONSTANT,
            deadlines=SimpleNamespace(total_s=20.0),
        )  # fmt: skip
        clock = RunClock(now=lambda: self.now, wall=lambda: 0.0)
        self.run = SimpleNamespace(
            settings=settings, clock=clock, role=ProcessRole.LOCAL, kinds=1, stop=None,
            tally=Tally(stages=borders()), slots=Slots(), slot_book=SlotBook(lambda: clock.elapsed_s),
            model=None, recorder=SimpleNamespace(at_once=TurnsAtOnce()),
        )  # fmt: skip
        self.environment = SimpleNamespace(stop_timeout=10.0)
        self.search = CapacitySearch(
            SearchSettings(start=4, maximum=4, step_s=2.0, settle_s=1.0, repeats=3), self.run, self,
            lambda *_: None, self.pass_time,
        )  # fmt: skip
        if model_busy_s:
            busy = SimpleNamespace(running=lambda: 3 if self.now < model_busy_s else 0)
            self.search._model = busy

    @property
    def user_count(self):
        """As of Locust's runner."""
        return self.users

    def pass_time(self, seconds):
        until = self.now + seconds
        while self.now < until - 1e-9:
            self.now = round(self.now + 0.05, 9)
            if self.late_users:
                self.run.slot_book.paused(0.5, 0.1)
            for turn in [turn for turn in self.running if turn[1] <= self.now]:
                self.running.remove(turn)
                done = CallResult(outcome=Outcome.OK, duration_s=turn[1] - turn[0])
                self.run.tally.finished("s", "chat", turn[0], done)
            if self.now % 0.5 < 1e-9:
                for _ in range(self.users):
                    self.run.tally.started("s", "chat", self.now)
                    self.running.append((self.now, self.now + self.turn_s))
            if not self.running:
                self.idle_at.append(self.now)

    def go(self, seconds):
        """Until the search is over, or that long."""
        while self.now < seconds:
            level = self.search.level()
            if level is None:
                return self.search.conclude()
            self.users = level
            self.levels.append(level)
            self.pass_time(1.0)
        return None

    def was_idle_between(self, start_s, end_s):
        return any(start_s <= t <= end_s for t in self.idle_at)


def test_each_window_begins_on_an_idle_server():
    stage = Stage(turn_s=3.3)
    found = stage.go(120)
    assert found.answer.end is SearchEnd.MAXIMUM
    assert 0 in stage.levels
    assert len(found.steps) == 2  # of repeats 3 the majority
    first, second = found.steps
    assert stage.was_idle_between(first.end_s, second.start_s)
    assert [step.causes for step in found.steps] == [(), ()]


def test_a_window_that_is_measured_again_does_not_begin_on_the_old_backlog_and_twice_is_enough():
    stage = Stage(turn_s=3.3, late_users=True)
    found = stage.go(120)
    assert found.answer.end is SearchEnd.GENERATOR
    first, second = found.steps
    assert stage.was_idle_between(first.end_s, second.start_s)
    told = sentence(found.causes[0])
    assert "users paused 20% too long, and so asked less: the limit is 5%" in told
    assert told.endswith("the load generator was held up, so nothing is known about the server at 4 users")


def test_a_model_that_still_works_holds_a_window_back():
    found = Stage(model_busy_s=9.0).go(120)
    assert found.steps[0].start_s > 9.0
    assert found.answer.end is SearchEnd.MAXIMUM


def test_a_server_that_never_becomes_idle_is_the_cause():
    stage = Stage(model_busy_s=1e9)
    found = stage.go(300)
    assert found.answer.end is SearchEnd.GENERATOR
    idle = "the server was not idle when the window began: the model still answered 3 earlier requests"
    assert idle in sentence(found.causes[0])


@pytest.mark.parametrize(
    ("by", "end"),
    [
        (None, SearchEnd.STOPPED),
        (StopReason.BUDGET, SearchEnd.BUDGET),
        (StopReason.INTERRUPTED, SearchEnd.STOPPED),
    ],
)
def test_a_search_that_is_ended_says_by_whom(by, end):
    stage = Stage()
    assert stage.go(4) is None
    stage.run.stop = None if by is None else Stop(by=by, sentence="it was ended", at_s=4.0)
    found = stage.search.conclude()
    assert (found.answer.end, found.reason) == (end, None if by is None else "it was ended")
    assert not stage.search.is_over


def test_a_process_that_is_alone_listens_to_itself():
    stage = Stage()
    stage.go(3)
    assert list(stage.run.slots.processes) == [LOCAL]


def test_where_the_search_is_can_be_asked_at_any_time():
    stage = Stage()
    seen = []
    pass_time = stage.pass_time

    def look_and_pass_time(seconds):
        seen.append(stage.search.status())
        pass_time(seconds)

    stage.pass_time = look_and_pass_time
    stage.go(120)
    phases = [phase for phase, _ in itertools.groupby(status.phase.value for status in seen)]
    assert phases == ["settling", "measuring", "clearing", "settling", "measuring"]
    first, last = seen[0], seen[-1]
    assert (first.step, first.load, first.passing, first.judged) == (1, 4, None, [])
    assert (last.step, last.load, last.passing, last.failing) == (2, 4, 4, None)
    over = stage.search.status()
    assert (over.phase.value, over.step, over.load, over.passing, over.failing) == (
        "over",
        None,
        None,
        4,
        None,
    )
    assert [(item.objective.text, item.value) for item in over.judged] == [("errors < 1%", 0)]
