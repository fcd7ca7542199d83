"""A search for the capacity as a load shape: measured windows steer the users. One Locust run, any topology.

    locust -f locustfiles/chat.py --host http://127.0.0.1:6185 --slo 'ttft_p95 < 2s' --capacity --max 200

The shape asks `capacity.search` for a level, has Locust spawn it, lets it settle, measures a window and tells
the search what came of it. On a master a window is judged when every worker has reported past its end.
"""

import sys
from dataclasses import dataclass, replace
from typing import Any

from locust import LoadTestShape
from locust.runners import MasterRunner, WorkerRunner

from astrometer.line_fold import folded
from astrometer.load.locust_plugin.capacity_progress import progress_line
from astrometer.load.options import Settings
from astrometer.load.run import Run
from astrometer.load.schedule.arrivals import Process
from astrometer.load.time_slots import LONGEST_S, SLOT_S, Slots, cells, slot_of
from astrometer.measure.capacity.capacity_result import CapacityRun
from astrometer.measure.capacity.search import (
    Ask,
    SearchAnswer,
    SearchEnd,
    StepVerdict,
    Trial,
    answer,
    decide,
    invalid_in_a_row,
)
from astrometer.measure.capacity.search_settings import SearchSettings
from astrometer.measure.capacity.search_step import NOTHING, SearchStep
from astrometer.measure.capacity.search_window import Next, judge_window, margin
from astrometer.measure.histogram import Histogram
from astrometer.measure.slo.run_verdict import StopReason
from astrometer.measure.slo.validity import Cause, part_causes, users_not_reached

LOCAL = "local"
PATIENCE_S = 30.0  # for turns that still run, unless --stop-timeout says otherwise
HEAL_AFTER_S = 5.0  # longer than workers take to report their users
LIVE = ("spawning", "running")


@dataclass(slots=True)
class _Window:
    """The step under way. Times since the run's start; slots once it has settled."""

    ask: Ask
    asked_s: float
    fresh: bool  # the load changed, so that it must settle
    clear_before: int | None = None  # turns of slots before this one must end first
    first: int | None = None
    end: int | None = None


class CapacityShape(LoadTestShape):
    """Steers one search per test."""

    abstract = True  # nobody gets it by importing this module

    def __init__(self, settings: SearchSettings) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Locust's
        self.settings = settings
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._run: Run | None = None
        self._slots = Slots()
        self._steps: list[SearchStep] = []  # without their cells until the end
        self._trials: list[Trial] = []
        self._window: _Window | None = None
        self._answer: SearchAnswer | None = None
        self._reason: str | None = None
        self._turn_s = 0.0  # how long a turn took in the last window
        self._nudges = 0

    # --- what Locust and the plugin call

    def tick(self) -> tuple[int, float] | None:
        """Once a second."""
        if self._run is None or self._run.is_over:
            return self._wanted(self.settings.plan.start)  # a test begins with this
        if self._window is None:
            self._move(decide(self.settings.plan, []), fresh=True)
        self._listen()
        if (stop := self._why_stop()) is not None:
            self._answer, self._reason = answer(stop[0], self._trials), stop[1]
            return None
        window = self._window
        assert window is not None
        if window.first is None and self._is_settled(window):
            window.first = slot_of(self._run.elapsed_s) + 1
        if window.first is not None and (step := self._look(window)) is not None:
            self._tell(step)
            following = decide(self.settings.plan, self._trials)
            if isinstance(following, SearchAnswer):
                self._answer = following
                return None
            self._move(following, fresh=following.level != window.ask.level)
        return self._wanted(self._level())

    def attach(self, run: Run) -> None:
        """The test that has just begun. (Locust's master resets the time of a shape after that.)"""
        self._begin_anew()
        self._run = run

    @property
    def is_done(self) -> bool:
        return self._answer is not None

    def note(self, process: str, wire: dict[str, Any]) -> None:
        """A worker's report."""
        self._slots.note(process, wire)

    def conclude(self) -> CapacityRun:
        """What was found, with every turn that has ended since."""
        assert self._run is not None
        self._listen()
        stop = None if self._answer else self._run.stop  # by the guard of the budget
        full = [
            replace(step, cells=cells(self._run.tally, slot_of(step.start_s), slot_of(step.end_s)))
            for step in self._steps
        ]
        return CapacityRun(
            settings=self.settings,
            objectives=self._run.settings.objectives,
            steps=full,
            answer=self._answer
            or answer(
                SearchEnd.BUDGET if stop is not None and stop.by is StopReason.BUDGET else SearchEnd.STOPPED,
                self._trials,
            ),
            reason=self._reason or (None if stop is None else stop.sentence),
        )

    # --- the load

    def _level(self) -> int:
        window = self._window
        if window is None:
            return self.settings.plan.start
        if window.clear_before is not None and self.settings.is_rate:
            return self.settings.plan.minimum  # or the backlog would never end: new arrivals queue behind it
        return window.ask.level

    def _wanted(self, level: int) -> tuple[int, float]:
        """Users, and a spawn rate that spreads them over half of the settling."""
        spread_s = max(1.0, self.settings.settle_s / 2)
        rate = max(1.0, level / spread_s) if not self.settings.is_rate else float(max(1, level))
        return level, rate + self._nudges / 1000

    def _move(self, following: Ask | SearchAnswer, *, fresh: bool) -> None:
        assert isinstance(following, Ask)
        assert self._run is not None
        now = self._run.elapsed_s
        # Whoever comes down from an overload meets what it left behind.
        falls = self._window is not None and following.level < self._window.ask.level
        self._window = _Window(
            ask=following, asked_s=now, fresh=fresh, clear_before=slot_of(now) + 1 if falls else None
        )

    def _is_settled(self, window: _Window) -> bool:
        assert self._run is not None
        now = self._run.elapsed_s
        waited_s = now - window.asked_s
        if window.clear_before is not None:
            if self._in_flight_before(window.clear_before) and waited_s < self._patience_s:
                return False
            window.clear_before, window.asked_s = None, now
            return False
        if not window.fresh:
            return True
        if not self._are_there(window.ask.level):
            if waited_s > HEAL_AFTER_S + self._nudges:
                self._nudges += 1  # Locust counts users that are about to stop: it may have spawned too few
            if waited_s < self._patience_s + HEAL_AFTER_S:
                return False
        return waited_s >= max(self.settings.settle_s, min(1.5 * self._turn_s, self._patience_s))

    def _are_there(self, level: int) -> bool:
        return self.runner is None or self.runner.user_count == level

    def _in_flight_before(self, slot: int) -> int:
        assert self._run is not None
        stages = self._run.tally.stages
        return sum(cell.started - cell.outcomes.total() for number, cell in stages.items() if number < slot)

    @property
    def _patience_s(self) -> float:
        timeout = getattr(self.runner and self.runner.environment, "stop_timeout", None)
        return float(timeout) if timeout else PATIENCE_S

    # --- the window

    def _listen(self) -> None:
        run = self._run
        if run is not None and run.slot_book is not None and not isinstance(self.runner, MasterRunner):
            self._slots.note(LOCAL, run.slot_book.take())

    def _processes(self) -> list[str]:
        if not isinstance(self.runner, MasterRunner):
            return [LOCAL]
        return [name for name, node in self.runner.clients.items() if node.state in LIVE]

    def _look(self, window: _Window) -> SearchStep | None:
        """The window as a step, when it can be judged; its `cells` are those that judging needs."""
        run = self._run
        assert run is not None
        assert window.first is not None
        shortest = window.first + max(1, round(self.settings.step_s / SLOT_S))
        known = self._slots.complete_until(self._processes())
        if known < (window.end or shortest):
            return None
        end = window.end or min(known, window.first + max(1, round(self.settings.longest_s / SLOT_S)))
        objectives = run.settings.objectives
        metrics = {objective.metric for objective in objectives} | {"schedule_lag", "e2e", "duration"}
        found = cells(run.tally, window.first, end, metrics)
        whole = found[None]
        in_flight = max(0, whole.started - whole.outcomes.total())
        can_grow = (end - window.first) * SLOT_S < self.settings.longest_s - SLOT_S
        said = judge_window(
            objectives,
            lambda objective: found.get(objective.scenario, NOTHING),
            thorough=window.ask.thorough,
            may_wait=run.elapsed_s - end * SLOT_S < self._patience_s,
            may_extend=can_grow,
        )
        if said is Next.EXTEND:
            window.end = None
            return None
        window.end = end
        if said is Next.WAIT:
            return None
        step = SearchStep(
            level=window.ask.level,
            start_s=window.first * SLOT_S,
            end_s=end * SLOT_S,
            verdict=said,
            cells=found,
            completed=self._slots.completed(window.first, end),
            unfinished=in_flight if run.elapsed_s - end * SLOT_S >= self._patience_s else 0,
            health=replace(
                self._slots.health(window.first, end), schedule_lag_p99_s=whole.schedule_lag().percentile(99)
            ),
        )
        causes = self._causes(step)
        return replace(step, verdict=StepVerdict.INVALID, causes=causes) if causes else step

    def _causes(self, step: SearchStep) -> list[Cause]:
        """Why this window says nothing of the server: the generator did not do what it was asked to."""
        assert self._run is not None
        settings = self._run.settings
        by_chance = settings.arrivals is Process.POISSON
        causes = part_causes(
            step.health,
            settings.objectives,
            arrived=step.cells[None].started,
            due=self.settings.arrivals_due(step.level, step.length_s),
            by_chance=by_chance,
            kinds=self._run.kinds,
        )
        if not self.settings.is_rate and self.runner is not None and not self._are_there(step.level):
            causes.append(users_not_reached(self.runner.user_count, step.level))
        return causes

    def _tell(self, step: SearchStep) -> None:
        """The search hears of it, and people."""
        assert self._run is not None
        objectives = self._run.settings.objectives
        trial = Trial(
            level=step.level,
            verdict=step.verdict,
            margin=margin(objectives, step.cell_of),
            completed_per_s=step.completed_per_s,
            at_length=step.length_s >= self.settings.longest_s - SLOT_S,
        )
        self._steps.append(step)
        self._trials.append(trial)
        turns = Histogram()
        for metric in ("e2e", "duration"):
            if metric in step.cells[None].ok:
                turns.merge(step.cells[None].ok[metric])
        self._turn_s = turns.percentile(50) or 0.0
        options = getattr(self.runner and self.runner.environment, "parsed_options", None)
        if getattr(options, "astrometer_progress", False):
            line = progress_line(
                self.settings, objectives, len(self._steps), step, invalid_in_a_row(self._trials)
            )
            rewrite = "\r\x1b[2K" if sys.stderr.isatty() else ""
            sys.stderr.write(f"{rewrite}{folded(line, sys.stderr)}\n")
            sys.stderr.flush()

    def _why_stop(self) -> tuple[SearchEnd, str | None] | None:
        assert self._run is not None
        if isinstance(self.runner, MasterRunner):
            here = {name for name, node in self.runner.clients.items() if node.state in LIVE}
            if lost := set(self._slots.processes) - here:
                return SearchEnd.WORKER_LOST, f"{len(lost)} worker(s) lost, and what they had not reported"
        if self._run.elapsed_s > LONGEST_S - 60:
            return SearchEnd.STOPPED, f"it took longer than {LONGEST_S / 3600:.0f} hours"
        return None


def install(environment: Any) -> None:
    """Put `--capacity` in force: it wins over a shape of the locustfile."""
    if isinstance(environment.runner, WorkerRunner):
        return  # the master shapes
    search = Settings.of(environment.parsed_options).capacity
    if search is not None:
        environment.shape_class = CapacityShape(search)
        environment.shape_class.runner = environment.runner


def begin(environment: Any) -> None:
    """A test starts: the workers shall know what a user stands for."""
    shape = environment.shape_class
    if isinstance(shape, CapacityShape) and shape.settings.is_rate:
        environment.parsed_options.rate_unit = shape.settings.unit


def attach(environment: Any, run: Run) -> None:
    """The test has begun: the search steers it, and its results tell of the search."""
    shape = environment.shape_class
    if isinstance(shape, CapacityShape):
        shape.attach(run)
        run.search = shape.conclude


def has_answer(environment: Any) -> bool:
    """The search has come to its end."""
    return isinstance(environment.shape_class, CapacityShape) and environment.shape_class.is_done


def note(environment: Any, process: str, wire: dict[str, Any]) -> None:
    """A worker reported."""
    if isinstance(environment.shape_class, CapacityShape):
        environment.shape_class.note(process, wire)
