"""How late, busy and short of arrivals may the load generator be before its numbers say nothing? Pure."""

import math
from collections.abc import Iterable
from typing import Protocol

from astrometer.measure.slo.slo_parser import Objective, Unit
from astrometer.units import told_apart

MAX_SCHEDULE_LAG_S = 0.050  # p99: what began later is no longer the load that was asked for
OBJECTIVE_SHARE = 0.1
LAG_BY_OBJECTIVE = ", a tenth of an objective's limit"
MAX_LOOP_LAG_S = 0.020  # p99
MAX_CPU = 0.90
ENOUGH = 0.95  # of the arrivals that were asked for
# The lag is inside of the effective ones; and a server that is asked in clumps has another TTFT.
SPOILT = ("ttft", "ttft_text", "ttft_effective", "e2e_effective", "duration_effective")


class Health(Protocol):
    """How the load generator did, in a run or in a window of it. None: not known."""

    @property
    def loop_lag_p99_s(self) -> float | None: ...
    @property
    def schedule_lag_p99_s(self) -> float | None: ...
    @property
    def cpu_max(self) -> float | None: ...


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


def fell_short(arrivals: float, expected: float, *, by_chance: bool, kinds: int = 1) -> bool:
    """More than 5 % too few, and more than is no fault of the generator.

    `by_chance`: 3 standard deviations of a Poisson count. An even schedule has no chance in it, and no more
    than one arrival to come when the time is up; each of the `kinds` of users has a schedule of its own.
    """
    slack = 3 * math.sqrt(expected) if by_chance else kinds
    return arrivals < ENOUGH * expected - slack


def strained(health: Health, lag_limit_s: float) -> list[str]:
    """What it could not bear, in words. `lag_limit_s`: of `schedule_lag_limit_s`."""
    causes = [
        "{name} {} ms is above {} ms{why}".format(*told_apart(value * 1e3, limit_s * 1e3), name=name, why=why)
        for name, value, limit_s, why in (
            ("event-loop lag p99", health.loop_lag_p99_s, MAX_LOOP_LAG_S, ""),
            (
                "schedule lag p99",
                health.schedule_lag_p99_s,
                lag_limit_s,
                LAG_BY_OBJECTIVE if lag_limit_s < MAX_SCHEDULE_LAG_S else "",
            ),
        )
        if value is not None and value > limit_s
    ]
    if health.cpu_max is not None and health.cpu_max > MAX_CPU:
        share, limit = told_apart(health.cpu_max * 100, MAX_CPU * 100)
        causes.append(f"CPU of a load process {share}% is above {limit}%")
    return causes


def held_up(
    health: Health,
    objectives: Iterable[Objective],
    *,
    arrived: int,
    due: float | None,
    by_chance: bool,
    kinds: int,
) -> list[str]:
    """What it could not bear, and a rate that it did not reach. `due` None: no rate was asked for."""
    causes = strained(health, schedule_lag_limit_s(objectives))
    if due is not None and fell_short(arrived, due, by_chance=by_chance, kinds=kinds):
        causes.append(f"{arrived} arrivals instead of about {due:.0f}: the rate was not reached")
    return causes
