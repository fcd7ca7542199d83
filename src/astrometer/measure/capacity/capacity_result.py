"""The steps of a capacity search and its answer -> `capacity` of `results.json`. Pure."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from astrometer.measure.capacity.capacity_interval import CONFIDENCE, CapacityEstimate, estimate
from astrometer.measure.capacity.next_load import SearchAnswer, SearchEnd, StepVerdict
from astrometer.measure.capacity.search_settings import SearchSettings
from astrometer.measure.capacity.search_step import NOTHING, SearchStep
from astrometer.measure.capacity.search_window import Evidence, evidence, objective_results
from astrometer.measure.slo.cause_sentences import cause_json, sentence
from astrometer.measure.slo.objectives import ObjectiveResult, distrust
from astrometer.measure.slo.run_verdict import Conclusion
from astrometer.measure.slo.slo_parser import Objective
from astrometer.measure.slo.validity import Cause, CauseKind
from astrometer.measure.tally.exchange_stats import Stats

# Of the odds of a bad exchange that an objective allows: a cliff leads from below the one to above the other.
_AT_EASE, _BROKEN = 0.5, 4.0
_COLLAPSED, _KEPT = 2 / 3, 0.9  # of the answers per second: a cliff as well, whatever the objective says
_NEAR_PEAK = 0.95
# The answer is of the server only when the search ended in one of these ways.
ANSWERED = frozenset({SearchEnd.CONVERGED, SearchEnd.MAXIMUM, SearchEnd.SATURATED, SearchEnd.MINIMUM})

StatsWriter = Callable[[Stats, Stats, float], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityRun:
    """A whole search. `reason`: in words, where the end alone does not say it."""

    settings: SearchSettings
    objectives: Sequence[Objective]
    steps: Sequence[SearchStep]
    answer: SearchAnswer
    reason: str | None = None

    @property
    def causes(self) -> list[Cause]:
        """Why the answer cannot be trusted; empty when it can."""
        if self.answer.end in ANSWERED:
            return []
        known = "nothing passed" if self.answer.passing is None else "not confirmed"
        reason = f"({known}): {self.reason or self._reason()}"
        return [Cause(kind=CauseKind.SEARCH_UNFINISHED, detail=reason)]

    def _reason(self) -> str:
        if self.answer.end is not SearchEnd.GENERATOR or not self.steps:
            return _REASONS[self.answer.end]
        at = self.settings.load_text(self.steps[-1].level)
        causes = "; ".join(map(sentence, self.steps[-1].causes))
        who = f"{_REASONS[SearchEnd.GENERATOR]}, so "
        if any(cause.kind is CauseKind.SERVER_NOT_IDLE for cause in self.steps[-1].causes):
            who = ""
        return f"{causes}: {who}nothing is known about the server at {at}"

    @property
    def edges(self) -> tuple[int | None, int | None]:
        """The highest level that passed, the lowest that failed."""
        return self.answer.passing, self.answer.failing

    @property
    def verdict(self) -> str:
        if self.causes:
            return "INVALID"
        return "FAIL" if self.answer.passing is None else "PASS"

    def judged(self) -> list[ObjectiveResult]:
        """The objectives at the highest load that passed; where none did, at the lowest that failed.

        Of the windows there those that were outvoted are left out: the rest says what the answer says.
        """
        passed = self.answer.passing is not None
        said = StepVerdict.PASS if passed else StepVerdict.FAIL
        level = self.answer.passing if passed else self.answer.failing
        there = pooled([step for step in self.steps if step.verdict.supports is passed], level)
        return [item for item, _ in objective_results(self.objectives, _picker(there), said)]


_REASONS = {
    SearchEnd.GENERATOR: "the load generator was held up",
    SearchEnd.NO_DATA: "an objective has too few samples even in the longest window; "
    "use longer steps, or a percentile that needs fewer",
    SearchEnd.TRIALS: "the windows contradict each other; use longer steps",
    SearchEnd.BUDGET: "the token budget was spent",
    SearchEnd.STOPPED: "it was stopped",
    SearchEnd.WORKER_LOST: "a worker was lost, and what it had not reported",
}


def conclude_search(run: CapacityRun, untrusted: Sequence[Cause]) -> Conclusion:
    """The verdict of the whole run: PASS when there is an answer. `untrusted`: what else is wrong with it."""
    causes, judged = (*untrusted, *run.causes), run.judged()
    if causes:
        return Conclusion(verdict="INVALID", causes=causes, objectives=tuple(distrust(judged)))
    return Conclusion(verdict=run.verdict, causes=(), objectives=tuple(judged))


def pooled(steps: Iterable[SearchStep], level: int | None) -> dict[str | None, Stats]:
    """All windows at a level together, those that cannot be trusted left out."""
    by_scenario: dict[str | None, Stats] = defaultdict(Stats)
    for step in steps:
        if step.level == level and step.verdict.is_evidence:
            for name, stats in step.stats.items():
                by_scenario[name].merge(stats)
    return by_scenario


def believed(run: CapacityRun) -> CapacityEstimate:
    """The capacity in levels, as far as the windows tell; nothing where the search has no answer."""
    told = [
        (float(step.level), step.verdict is StepVerdict.PASS) for step in run.steps if step.verdict.confirms
    ]
    found = estimate(told) if run.answer.end in ANSWERED else None
    return found or CapacityEstimate(low=None, middle=None, high=None)


def binding(run: CapacityRun) -> Objective | None:
    """The objective that breaks at the lowest failing load: the one furthest beyond what it allows."""
    if run.answer.failing is None:
        return None
    by_scenario = pooled([step for step in run.steps if step.verdict is StepVerdict.FAIL], run.answer.failing)
    found = [evidence(item, _picker(by_scenario)(item)) for item in run.objectives]
    broken = [item for item in found if item.n and not item.is_met(item.bad, item.n)]
    worst = max(broken or found, key=lambda item: item.use, default=None)
    return None if worst is None else worst.objective


def decline(run: CapacityRun) -> str | None:
    """What happens between the two loads of the answer, by the binding objective and by the answers.

    `cliff`: from at ease to broken, or a third of the answers is lost. `smooth`: hardly any is lost, and the
    objective is only just missed. None: neither, or the search has not both loads.
    """
    objective = binding(run)
    if objective is None or run.answer.passing is None or run.answer.end is not SearchEnd.CONVERGED:
        return None
    below, above = (
        _odds(evidence(objective, _picker(pooled(run.steps, level))(objective))) for level in run.edges
    )
    rates = answers_per_s(run)
    before, after = (rates.get(level, 0.0) for level in run.edges if level is not None)
    if after < _COLLAPSED * before or (below < _AT_EASE and above > _BROKEN):
        return "cliff"
    return "smooth" if after > _KEPT * before and above < _BROKEN / 2 else None


def answers_per_s(run: CapacityRun) -> dict[int, float]:
    """Good answers that came back per second, by level."""
    counted: dict[int, tuple[int, float]] = {}
    for step in run.steps:
        if step.verdict is not StepVerdict.INVALID:
            completed, length_s = counted.get(step.level, (0, 0.0))
            counted[step.level] = completed + step.completed, length_s + step.length_s
    return {level: completed / length_s for level, (completed, length_s) in sorted(counted.items())}


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The most answers per second, and at which level.

    `plateau_from`: from this level on every higher one brought nearly as many; None when answers fell again.
    """

    completed_per_s: float
    level: int
    plateau_from: int | None


def peak(run: CapacityRun) -> Peak | None:
    """None when nothing was answered."""
    rates = answers_per_s(run)
    most = max(rates.values(), default=0.0)
    if most <= 0:
        return None
    level = min(level for level, rate in rates.items() if rate == most)
    plateau = None
    for other in sorted(rates, reverse=True):
        if rates[other] < _NEAR_PEAK * most:
            break
        plateau = other
    return Peak(completed_per_s=most, level=level, plateau_from=plateau)


def describe(run: CapacityRun, write: StatsWriter) -> dict[str, Any]:
    """`capacity` of `results.json`. `write` writes a stats as everywhere else in the file."""
    answer, settings = run.answer, run.settings

    def load(level: int | None) -> float | int | None:
        if level is None:
            return None
        return settings.load(level) if settings.is_rate else level

    def held(level: float | None) -> float | int | None:
        """A user is whole: of 6.9 users the server holds six."""
        if level is None:
            return None
        return float(f"{level * settings.unit:.4g}") if settings.is_rate else math.floor(level)

    capacity, bound, most = believed(run), binding(run), peak(run)
    at_passing = [s for s in run.steps if s.level == answer.passing and s.verdict is not StepVerdict.INVALID]
    there_s = sum(step.length_s for step in at_passing)
    return {
        "search": str(settings),
        "unit": "per_s" if settings.is_rate else "users",
        "end": answer.end.value,
        "reason": sentence(run.causes[0]) if run.causes else None,
        "highest_passing": load(answer.passing),
        "lowest_failing": load(answer.failing),
        "binding": None if bound is None else bound.text,
        "decline": decline(run),
        "estimate": held(capacity.middle),
        "interval": {"low": held(capacity.low), "high": held(capacity.high), "confidence": CONFIDENCE},
        "peak": None
        if most is None
        else {
            "completed_per_s": most.completed_per_s,
            "load": load(most.level),
            "plateau_from": load(most.plateau_from),
        },
        "at_highest_passing": (
            {
                "duration_s": there_s,
                **write(pooled(run.steps, answer.passing)[None], Stats(), there_s),
            }
            if at_passing
            else None
        ),
        "steps": [
            {
                "load": load(step.level),
                "start_s": step.start_s,
                "end_s": step.end_s,
                "verdict": step.verdict.value,
                "causes": [cause_json(cause) for cause in step.causes],
                "objectives": [
                    _objective(*pair)
                    for pair in objective_results(run.objectives, step.stats_of, step.verdict)
                ],
                "unfinished": step.unfinished,
                "completed_per_s": step.completed_per_s,
                "turns_at_once": step.turns_at_once,
                "generator": {
                    "loop_lag_p99_s": step.health.loop_lag_p99_s,
                    "cpu_max": step.health.cpu_max,
                    "schedule_lag_p99_s": step.health.schedule_lag_p99_s,
                },
                **write(step.stats.get(None, NOTHING), Stats(), step.length_s),
            }
            for step in run.steps
        ],
    }


def _objective(result: ObjectiveResult, found: Evidence) -> dict[str, Any]:
    return {
        "text": result.objective.text,
        "verdict": result.verdict.value,
        "value": "inf" if result.value == math.inf else result.value,
        "limit": result.objective.limit,
        "n": result.n,
        "bad": found.bad,
        "allowed": round(found.allowed, 12),
    }


def _picker(by_scenario: Mapping[str | None, Stats]) -> Callable[[Objective], Stats]:
    return lambda objective: by_scenario.get(objective.scenario, NOTHING)


def _odds(item: Evidence) -> float:
    """Of a bad exchange, in units of the odds that the objective allows."""
    share = item.bad / item.n if item.n else 0.0
    if item.allowed >= 1:
        return 0.0
    if share >= 1 or item.allowed <= 0:
        return math.inf if share else 0.0
    return share / (1 - share) / (item.allowed / (1 - item.allowed))
