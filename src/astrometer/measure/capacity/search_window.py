"""The turns of one window at one load -> PASS, FAIL, or: wait, or measure longer. Pure.

A verdict is said as soon as turns that still run, or samples that are still missing, can no longer change
it: an overloaded server may take minutes to answer the last of a window.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from astrometer.measure.capacity.next_load import StepVerdict
from astrometer.measure.slo.objectives import ObjectiveResult, ObjectiveVerdict, evaluate, share_of
from astrometer.measure.slo.slo_parser import Objective, Unit
from astrometer.measure.tally.exchange_stats import Stats
from astrometer.measure.tally.histogram import MIN_SAMPLES


class WindowNeeds(StrEnum):
    """What a window needs before it can be judged."""

    WAIT = "wait"  # for turns that still run
    EXTEND = "extend"  # for more samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What speaks against an objective: `bad` of `n` exchanges, where a share `allowed` may be."""

    objective: Objective
    bad: int
    n: int
    allowed: float
    in_flight: int

    @property
    def needed(self) -> int:
        """So many samples before it can be said."""
        percent = self.objective.percent
        return MIN_SAMPLES[percent] if percent is not None else 1

    def is_met(self, bad: int, n: int) -> bool:
        """Whether it would be, with so many bad ones."""
        objective = self.objective
        if objective.unit is Unit.SHARE:
            value = bad / n if objective.operator.startswith("<") else (n - bad) / n
            return objective.met_by(value)
        percent = objective.percent if objective.percent is not None else 100
        return bad <= n - math.ceil(round(percent / 100 * n, 6))

    @property
    def use(self) -> float:
        """The share of bad exchanges, in units of what is allowed."""
        share = self.bad / self.n if self.n else 0.0
        if self.allowed <= 0:
            return math.inf if share else 0.0
        return share / self.allowed

    @property
    def surely_fails(self) -> bool:
        """Even if all that is still to come is good."""
        n = self.n + self.in_flight
        return n > 0 and not self.is_met(self.bad, max(n, self.needed))

    @property
    def surely_passes(self) -> bool:
        """Even if all that still runs is bad."""
        return self.n >= self.needed and self.is_met(self.bad + self.in_flight, self.n + self.in_flight)


def evidence(objective: Objective, stats: Stats) -> Evidence:
    """Count for and against. Only objectives that load can break: see `is_searchable`."""
    in_flight = max(0, stats.started - stats.outcomes.total())
    if objective.unit is Unit.SHARE:
        counted, n = share_of(objective.metric, stats)
        below = objective.operator.startswith("<")
        bad, allowed = (counted, objective.limit) if below else (n - counted, 1 - objective.limit)
    else:
        attempts = stats.attempts(objective.metric)
        n, bad = attempts.n, attempts.n - attempts.count_at_most(objective.limit)
        allowed = 0.0 if objective.percent is None else 1 - objective.percent / 100
    return Evidence(objective=objective, bad=bad, n=n, allowed=allowed, in_flight=in_flight)


def is_searchable(objective: Objective) -> bool:
    """Whether more load makes it worse: throughput only rises with the load."""
    return objective.unit in {Unit.SHARE, Unit.SECONDS}


def judge_window(
    objectives: Sequence[Objective],
    stats_of: Callable[[Objective], Stats],
    *,
    thorough: bool,
    may_wait: bool,
    may_extend: bool,
) -> StepVerdict | WindowNeeds:
    """`may_wait` False: turns that still run count as bad. `may_extend` False: the window is long enough."""
    found = [evidence(objective, stats_of(objective)) for objective in objectives]
    if any(item.surely_fails for item in found):
        return StepVerdict.FAIL
    open_ = [item for item in found if not item.surely_passes]
    scarce = [item for item in open_ if item.n + item.in_flight < item.needed]
    if may_extend and any(thorough or not item.n or not item.is_met(item.bad, item.n) for item in scarce):
        return WindowNeeds.EXTEND
    if may_wait and any(item.in_flight for item in open_):
        return WindowNeeds.WAIT
    for item in open_:
        n = item.n + item.in_flight
        if n >= item.needed and not item.is_met(item.bad + item.in_flight, n):
            return StepVerdict.FAIL
    return (
        StepVerdict.THIN if any(item.n + item.in_flight < item.needed for item in open_) else StepVerdict.PASS
    )


def margin(objectives: Sequence[Objective], stats_of: Callable[[Objective], Stats]) -> float | None:
    """The worst objective's value over its limit (of a lower limit: what it lacks over what it may lack)."""
    known = []
    for objective in objectives:
        item = evidence(objective, stats_of(objective))
        if objective.unit is Unit.SHARE:
            if item.n:
                known.append(item.bad / item.n / item.allowed if item.allowed else math.inf * bool(item.bad))
        else:
            attempts = stats_of(objective).attempts(objective.metric)
            percent = objective.percent if objective.percent is not None else 100
            value = attempts.percentile(percent)
            if value is not None:
                known.append(value / objective.limit)
    known = [value for value in known if not math.isnan(value)]
    return max(known, default=None)


def objective_results(
    objectives: Sequence[Objective], stats_of: Callable[[Objective], Stats], verdict: StepVerdict
) -> list[tuple[ObjectiveResult, Evidence]]:
    """Each objective as it came out, for the report, and never against `verdict`.

    What was said while turns still ran counted some of them as bad that have ended well since: then the
    objective that was nearest to its limit is the one that failed. A window that is not trusted passes or
    fails nothing.
    """
    found = [(evaluate(item, stats_of(item)), evidence(item, stats_of(item))) for item in objectives]
    if verdict is StepVerdict.THIN:
        return found
    verdicts = [
        _SAID.get(verdict, ObjectiveVerdict.FAIL if item.surely_fails else result.verdict)
        for result, item in found
    ]
    if verdict is StepVerdict.FAIL and ObjectiveVerdict.FAIL not in verdicts:
        verdicts[max(range(len(found)), key=lambda number: found[number][1].use)] = ObjectiveVerdict.FAIL
    return [(replace(result, verdict=own), item) for (result, item), own in zip(found, verdicts, strict=True)]


_SAID = {
    StepVerdict.PASS: ObjectiveVerdict.PASS,
    StepVerdict.INVALID: ObjectiveVerdict.INVALID,
}  # of each and every objective
