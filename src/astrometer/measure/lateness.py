"""How late may the load generator begin its exchanges before its numbers say nothing of the server? Pure."""

from collections.abc import Iterable

from astrometer.measure.objectives import Objective, Unit

MAX_SCHEDULE_LAG_S = 0.050  # p99: what began later is no longer the load that was asked for
OBJECTIVE_SHARE = 0.1
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
