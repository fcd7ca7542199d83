"""How late, and how short of arrivals, may the load generator be before its numbers say nothing? Pure."""

import math
from collections.abc import Iterable

from astrometer.measure.objectives import Objective, Unit

MAX_SCHEDULE_LAG_S = 0.050  # p99: what began later is no longer the load that was asked for
OBJECTIVE_SHARE = 0.1
ENOUGH = 0.95  # of the arrivals that were asked for
# The lag is inside of the effective ones; and a server that is asked in clumps has another TTFT.
SPOILT = ("ttft", "ttft_text", "ttft_effective", "e2e_effective", "duration_effective")


def schedule_lag_limit_s(objectives: Iterable[Objective] = ()) -> float:
    """50 ms, or a tenth of the strictest limit on a metric that lateness spoils."""
    limits = (
        objective.limit * OBJECTIVE_SHARE
        for objective in objectives
        if objective.metric in SPOILT
        and objective.unit is Unit.SECONDS
        and objective.operator.startswith("<")
    )
    return min(MAX_SCHEDULE_LAG_S, *limits, MAX_SCHEDULE_LAG_S)


def fell_short(arrivals: float, expected: float, *, by_chance: bool) -> bool:
    """More than 5 % too few, and more than is no fault of the generator.

    `by_chance`: 3 standard deviations of a Poisson count. An even schedule has no chance in it, and no more
    than one arrival to come when the time is up.
    """
    slack = 3 * math.sqrt(expected) if by_chance else 1.0
    return arrivals < ENOUGH * expected - slack
