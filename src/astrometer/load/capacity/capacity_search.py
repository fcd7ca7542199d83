"""The search of one run -> the users to have next, and the windows that were measured. A state machine.

For each window the load is first taken away until the server is idle; then the level comes up, settles and is
measured, and `measure.capacity.next_load` decides what comes next. On a master a window is judged when every
worker has reported past its end.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import gevent

from astrometer.api.metric_table import EXCHANGE_TIMES
from astrometer.load.capacity.capacity_progress import Phase, SearchStatus
from astrometer.load.run.process_report import LOCAL
from astrometer.load.run.role import ProcessRole
from astrometer.load.run.time_slots import LONGEST_S, SLOT_S, slot_of, stats_between
from astrometer.load.schedule.arrivals import Process
from astrometer.load.schedule.requested_users import REPORTED_AFTER_S
from astrometer.measure.capacity.capacity_result import CapacityRun
from astrometer.measure.capacity.next_load import (
    Ask,
    SearchAnswer,
    SearchEnd,
    StepVerdict,
    Trial,
    answer,
    bracket,
    decide,
    invalid_in_a_row,
)
from astrometer.measure.capacity.search_settings import SearchSettings
from astrometer.measure.capacity.search_step import NOTHING, SearchStep
from astrometer.measure.capacity.search_window import WindowNeeds, judge_window, margin, objective_results
from astrometer.measure.slo.objectives import ObjectiveResult, evaluate
from astrometer.measure.slo.run_verdict import StopReason
from astrometer.measure.slo.validity import (
    Cause,
    CauseKind,
    measurement_errors,
    part_causes,
    users_not_reached,
)
from astrometer.measure.tally.histogram import Histogram

if TYPE_CHECKING:
    from astrometer.load.run.run import Run

TICK_S = 1.0  # how often Locust asks
POLL_S = 0.05
PATIENCE_S = 30.0  # for turns that still run, unless --stop-timeout says otherwise
LIVE = ("spawning", "running")


# --- the states of a search; times are seconds since the run's start


@dataclass(frozen=True, slots=True, kw_only=True)
class Clearing:
    """The load is taken away until the server is idle. `gone_s`: since when nobody asks any more."""

    ask: Ask
    since_s: float
    gone_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """The load comes up. `left`: what still ran when it began, in words."""

    ask: Ask
    since_s: float
    left: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measuring:
    """The window, in slots. `end` None: as long as it may still get."""

    ask: Ask
    first: int
    left: str | None
    end: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    """The search has its answer. `reason`: in words, where the end alone does not say it."""

    answer: SearchAnswer
    reason: str | None = None


State: TypeAlias = Clearing | Settling | Measuring | Over
_PHASES = {
    Clearing: Phase.CLEARING,
    Settling: Phase.SETTLING,
    Measuring: Phase.MEASURING,
    Over: Phase.OVER,
}


class CapacitySearch:
    """The search of one run. `measured` hears of each step, and of how many were INVALID in a row."""

    def __init__(
        self,
        settings: SearchSettings,
        run: "Run",
        runner: Any,
        measured: Callable[[int, SearchStep, int], None],
        pause: Callable[[float], None] = gevent.sleep,
    ) -> None:
        self._settings = settings
        self._run = run
        self._runner = runner
        self._measured = measured
        self._pause = pause
        self._model = run.model
        self._steps: list[SearchStep] = []  # without their stats until the end
        self._trials: list[Trial] = []
        self._judged: list[ObjectiveResult] = []  # in the last window
        self._turn_s = 0.0  # how long a turn took in the last window
        self.nudges = 0
        self._state: State = self._next(decide(settings.plan, self._trials))

    def level(self) -> int | None:
        """Look at what is known by now: the users to have next; None: the search is over."""
        self._listen()
        self._state = self._stop_early() or self._advance(self._state)
        match self._state:
            case Over():
                return None
            case Clearing():
                return 0
            case Settling(ask=ask) | Measuring(ask=ask):
                return ask.level

    @property
    def is_over(self) -> bool:
        """There is an answer, or a reason why there will be none."""
        return isinstance(self._state, Over)

    def status(self) -> SearchStatus:
        load = self._settings.load
        passing, failing = bracket(self._trials)
        asked = None if isinstance(self._state, Over) else load(self._state.ask.level)
        return SearchStatus(
            phase=_PHASES[type(self._state)],
            step=None if asked is None else len(self._trials) + 1,
            load=asked,
            passing=None if passing is None else load(passing),
            failing=None if failing is None else load(failing),
            judged=self._judged,
        )

    def conclude(self) -> CapacityRun:
        """What was found, with every turn that has ended since."""
        self._listen()
        match self._state:
            case Over(answer=found, reason=reason):
                pass
            case _:  # ended by the budget, or by hand
                stop = self._run.stop
                by_budget = stop is not None and stop.by is StopReason.BUDGET
                found = answer(SearchEnd.BUDGET if by_budget else SearchEnd.STOPPED, self._trials)
                reason = None if stop is None else stop.sentence
        full = [
            replace(
                step,
                stats=stats_between(self._run.tally, slot_of(step.start_s), slot_of(step.end_s)),
                turns_at_once=self._run.recorder.at_once.mean(step.start_s, step.end_s),
            )
            for step in self._steps
        ]
        return CapacityRun(
            settings=self._settings,
            objectives=self._run.settings.objectives,
            steps=full,
            answer=found,
            reason=reason,
        )

    # --- from one state to the next

    @property
    def _now_s(self) -> float:
        return self._run.clock.elapsed_s

    def _next(self, decided: Ask | SearchAnswer) -> State:
        if isinstance(decided, SearchAnswer):
            return Over(answer=decided)
        return Clearing(ask=decided, since_s=self._now_s)

    def _advance(self, state: State) -> State:
        match state:
            case Clearing():
                return self._clear(state)
            case Settling():
                settled = self._is_settled(state)
                first = slot_of(self._now_s) + 1
                return Measuring(ask=state.ask, first=first, left=state.left) if settled else state
            case Measuring():
                return self._measure(state)
            case Over():
                return state

    def _stop_early(self) -> Over | None:
        if self._run.role is ProcessRole.MASTER:
            here = {name for name, node in self._runner.clients.items() if node.state in LIVE}
            if lost := set(self._run.slots.processes) - here:
                words = f"{len(lost)} worker(s) lost, and what they had not reported"
                return Over(answer=answer(SearchEnd.WORKER_LOST, self._trials), reason=words)
        if self._now_s > LONGEST_S - 60:
            words = f"it took longer than {LONGEST_S / 3600:.0f} hours"
            return Over(answer=answer(SearchEnd.STOPPED, self._trials), reason=words)
        return None

    # --- an idle server

    def _clear(self, state: Clearing) -> State:
        """Wait within a tick: Locust asks only once a second."""
        give_up_s = self._now_s + TICK_S
        while True:
            now_s = self._now_s
            if state.gone_s is None and self._are_there(0):
                state = replace(state, gone_s=now_s)
            left = self._what_still_runs(state)
            if left is None or now_s - state.since_s > self._longest_clearing_s:
                return Settling(ask=state.ask, since_s=now_s, left=left)
            if now_s >= give_up_s:
                return state
            self._pause(POLL_S)
            self._listen()

    def _what_still_runs(self, state: Clearing) -> str | None:
        """In words; None: the server is idle, as far as anybody can tell."""
        if state.gone_s is None:
            return f"{self._runner.user_count} users had not stopped"
        if self._run.slots.complete_until(self._processes()) <= slot_of(state.gone_s):
            return "not every worker had reported"
        if turns := self._run.tally.in_flight:
            return f"{turns} earlier turns still ran"
        if self._model is not None and (requests := self._model.running()):
            return f"the model still answered {requests} earlier requests"
        return None

    @property
    def _longest_clearing_s(self) -> float:
        """Every turn has ended by then, in whatever way."""
        return max(self._patience_s, self._run.settings.deadlines.total_s) + REPORTED_AFTER_S

    def _are_there(self, level: int) -> bool:
        return bool(self._runner.user_count == level)

    @property
    def _patience_s(self) -> float:
        timeout = self._runner.environment.stop_timeout
        return float(timeout) if timeout else PATIENCE_S

    # --- the load

    def _is_settled(self, state: Settling) -> bool:
        waited_s = self._now_s - state.since_s
        if not self._are_there(state.ask.level):
            if waited_s > REPORTED_AFTER_S + self.nudges:
                self.nudges += 1  # Locust counts users that are about to stop: it may have spawned too few
            if waited_s < self._patience_s + REPORTED_AFTER_S:
                return False
        return waited_s >= max(self._settings.settle_s, min(1.5 * self._turn_s, self._patience_s))

    # --- the window

    def _listen(self) -> None:
        """A worker's slots come with its reports."""
        if self._run.slot_book is not None and self._run.role is ProcessRole.LOCAL:
            self._run.slots.note(LOCAL, self._run.slot_book.take())

    def _processes(self) -> list[str]:
        if self._run.role is ProcessRole.LOCAL:
            return [LOCAL]
        return [name for name, node in self._runner.clients.items() if node.state in LIVE]

    def _measure(self, state: Measuring) -> State:
        """Judge the window, when that can be done."""
        settings, run = self._settings, self._run
        shortest = state.first + max(1, round(settings.step_s / SLOT_S))
        known = run.slots.complete_until(self._processes())
        if known < (state.end or shortest):
            return state
        end = state.end or min(known, state.first + max(1, round(settings.longest_s / SLOT_S)))
        objectives = run.settings.objectives
        metrics = {objective.metric for objective in objectives} | {"schedule_lag", *EXCHANGE_TIMES}
        found = stats_between(run.tally, state.first, end, metrics)
        age_s = self._now_s - end * SLOT_S
        said = judge_window(
            objectives,
            lambda objective: found.get(objective.scenario, NOTHING),
            thorough=state.ask.thorough,
            may_wait=age_s < self._patience_s,
            may_extend=(end - state.first) * SLOT_S < settings.longest_s - SLOT_S,
        )
        if said is WindowNeeds.EXTEND:
            return replace(state, end=None)
        if said is WindowNeeds.WAIT:
            return replace(state, end=end)
        whole = found[None]
        step = SearchStep(
            level=state.ask.level,
            start_s=state.first * SLOT_S,
            end_s=end * SLOT_S,
            verdict=said,
            stats=found,
            completed=run.slots.completed(state.first, end),
            unfinished=max(0, whole.started - whole.outcomes.total()) if age_s >= self._patience_s else 0,
            health=replace(
                run.slots.health(state.first, end),
                schedule_lag_p99_s=whole.schedule_lag().percentile(99),
            ),
        )
        causes = self._causes(step, state.left)
        self._tell(replace(step, verdict=StepVerdict.INVALID, causes=causes) if causes else step)
        return self._next(decide(settings.plan, self._trials))

    def _causes(self, step: SearchStep, left: str | None) -> list[Cause]:
        """Why this window says nothing of the server."""
        settings = self._run.settings
        causes = part_causes(
            step.health,
            settings.objectives,
            arrived=step.stats[None].started,
            due=self._settings.arrivals_due(step.level, step.length_s),
            by_chance=settings.arrivals is Process.POISSON,
            kinds=self._run.kinds,
        )
        causes += measurement_errors(
            evaluate(objective, step.stats_of(objective)) for objective in settings.objectives
        )
        if not self._settings.is_rate and not self._are_there(step.level):
            causes.append(users_not_reached(self._runner.user_count, step.level))
        if left is not None:
            causes.append(Cause(kind=CauseKind.SERVER_NOT_IDLE, detail=left))
        return causes

    def _tell(self, step: SearchStep) -> None:
        """The search hears of it, and whoever else wants to."""
        objectives = self._run.settings.objectives
        self._judged = [item for item, _ in objective_results(objectives, step.stats_of, step.verdict)]
        self._steps.append(step)
        self._trials.append(
            Trial(
                level=step.level,
                verdict=step.verdict,
                margin=margin(objectives, step.stats_of),
                completed_per_s=step.completed_per_s,
                at_length=step.length_s >= self._settings.longest_s - SLOT_S,
            )
        )
        turns = Histogram()
        for metric in EXCHANGE_TIMES:
            if metric in step.stats[None].ok:
                turns.merge(step.stats[None].ok[metric])
        self._turn_s = turns.percentile(50) or 0.0
        self._measured(len(self._steps), step, invalid_in_a_row(self._trials))
