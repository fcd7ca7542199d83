"""Limits such as `ttft_p95 < 2s` -> verdicts on what was measured. Reading their text is `slo_parser`'s.

A missing value is never good: an objective without (enough) samples is NO_DATA, which is no pass.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from astrometer.api.timings import CERTAIN_S
from astrometer.measure.server_usage import ServerUsage
from astrometer.measure.slo.slo_parser import (
    Objective,
    Unit,
)
from astrometer.measure.tally.exchange_stats import Stats
from astrometer.measure.tally.tally import Tally

ERROR_OF_VALUE, ERROR_OF_LIMIT = 0.05, 0.1


class ObjectiveVerdict(StrEnum):
    """INVALID: it was measured, but not well enough, or the run cannot be trusted."""

    PASS = "PASS"  # noqa: S105 (a verdict, no password)
    FAIL = "FAIL"
    NO_DATA = "NO_DATA"
    INVALID = "INVALID"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveResult:
    """How an objective came out; `value` in the objective's unit, None without enough samples."""

    objective: Objective
    verdict: ObjectiveVerdict
    value: float | None
    n: int
    error_s: float = 0.0  # how far the value may be from the truth, for a duration

    @property
    def error_limit_s(self) -> float:
        """An error above it matters: 5 % of the value or 10 % of the limit; a millisecond never does."""
        return max(
            CERTAIN_S, min(ERROR_OF_VALUE * (self.value or 0.0), ERROR_OF_LIMIT * self.objective.limit)
        )

    @property
    def is_uncertain(self) -> bool:
        """Whether its error matters."""
        return self.error_s > self.error_limit_s


def evaluate(objective: Objective, stats: Stats, window_s: float | None = None) -> ObjectiveResult:
    """Judge one objective on merged measurements. `window_s`: what a rate divides by.

    Latency is judged on all attempts, in which a failure is infinitely slow.
    """
    if objective.unit is Unit.SHARE:
        counted, n = share_of(objective.metric, stats)
        return result_of(objective, counted / n if n else None, n)
    if objective.unit is Unit.PER_SECOND:
        n = stats.outcomes["ok"]
        return result_of(objective, n / window_s if window_s and stats.started else None, n)
    histogram = stats.attempts(objective.metric)
    value = histogram.max if objective.percent is None else histogram.quantile_or_none(objective.percent)
    percent = 100 if objective.percent is None else objective.percent
    return result_of(objective, value, histogram.n, *stats.errors_s(histogram, objective.metric, [percent]))


def evaluate_objectives(
    objectives: Sequence[Objective], tally: Tally, window_s: float, server: ServerUsage | None = None
) -> list[ObjectiveResult]:
    """All of them on a whole tally, each on its scenario. Cheap enough to be asked while a test runs.

    `server`: what its process used, for the objectives on that.
    """
    results = []
    for objective in objectives:
        if objective.unit.is_of_server:
            value = None if server is None else server.value_of(objective.metric)
            results.append(result_of(objective, value, 0 if server is None else server.turns))
            continue
        stats = tally.total(objective.scenario, only=(objective.metric,))
        results.append(evaluate(objective, stats, window_s))
    return results


def distrust(judged: Iterable[ObjectiveResult]) -> list[ObjectiveResult]:
    """The same of a run that cannot be trusted: nothing that was measured passes or fails."""
    return [
        item if item.verdict is ObjectiveVerdict.NO_DATA else replace(item, verdict=ObjectiveVerdict.INVALID)
        for item in judged
    ]


def goals(objectives: Iterable[Objective], scenario: str | None = None) -> dict[str, float]:
    """Per-exchange limits for goodput: each upper limit on a duration, whatever its percentile.

    Those for all exchanges, and those of `scenario`.
    """
    limits: dict[str, float] = {}
    for objective in objectives:
        applies = objective.scenario is None or objective.scenario == scenario
        if applies and objective.unit is Unit.SECONDS and objective.operator.startswith("<"):
            limits[objective.metric] = min(objective.limit, limits.get(objective.metric, objective.limit))
    return limits


def scenario_goals(objectives: Sequence[Objective]) -> Mapping[str, Mapping[str, float]]:
    """`goals` of each scenario that has objectives of its own."""
    names = {objective.scenario for objective in objectives if objective.scenario is not None}
    return {name: goals(objectives, name) for name in names}


def share_of(metric: str, stats: Stats) -> tuple[int, int]:
    """What a share counts, and of how many."""
    ended = stats.outcomes.total()
    if metric == "stalls":
        return stats.stalls.turns, stats.stalls.streams
    if metric == "goodput":
        return stats.good, ended
    return ended - stats.outcomes["ok"] if metric == "errors" else stats.outcomes[metric], ended


def result_of(objective: Objective, value: float | None, n: int, error_s: float = 0.0) -> ObjectiveResult:
    """Judge a value that is known already; None: too few samples."""
    if value is None or math.isnan(value):
        return ObjectiveResult(objective=objective, verdict=ObjectiveVerdict.NO_DATA, value=None, n=n)
    verdict = ObjectiveVerdict.PASS if objective.met_by(value) else ObjectiveVerdict.FAIL
    judged = ObjectiveResult(objective=objective, verdict=verdict, value=value, n=n, error_s=error_s)
    return replace(judged, verdict=ObjectiveVerdict.INVALID) if judged.is_uncertain else judged
