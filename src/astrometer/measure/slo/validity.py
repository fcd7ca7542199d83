"""Evidence about the load generator and the samples -> why a run, a stage or a window is INVALID. Pure.

The one answer to that question: the limits, the kinds of causes, and what each is found by. A cause is a kind
and its values; `cause_sentences` makes the sentence for people. `load.run.health` samples loop lag and CPU
(`HealthMonitor`), `load.run.run_results` and `measure.results.document` (`build`) collect those of a run.
DRIFTING has causes too: those of `drift`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from astrometer.api.metric_table import LAG_SENSITIVE
from astrometer.measure.server_usage import ServerUsage
from astrometer.measure.slo.objectives import ObjectiveResult
from astrometer.measure.slo.slo_parser import Objective, Unit
from astrometer.measure.slo.stages import LoadStage
from astrometer.measure.tally.exchange_stats import Stats
from astrometer.measure.tally.tally import Tally

MAX_SCHEDULE_LAG_S = 0.050  # p99: what began later is no longer the load that was asked for
OBJECTIVE_SHARE = 0.1
LATE_S = 0.001  # on average: no pause is shorter than it was meant, and an idle machine adds a little
ENOUGH = 0.95  # of the arrivals that were asked for


class CauseKind(StrEnum):
    """The closed list; values of `causes[].kind` in `results.json`."""

    MEASUREMENT_ERROR = "measurement_error"  # of an objective's percentile, in seconds
    LOOP_LAG = "loop_lag"  # p99 in seconds; only where the process itself stamps
    SCHEDULE_LAG = "schedule_lag"  # p99 in seconds
    THINK_TIME = "think_time"  # the share by which pauses of users were too long; closed model
    CPU = "cpu"  # the busiest process's share of one core
    EXHAUSTED = "exhausted"  # the generator's own files, ports, memory or threads; `detail` says which
    WORKERS_LOST = "workers_lost"  # how many, and since when
    WORKER_DID_NOT_BEGIN = "worker_did_not_begin"
    RATE_NOT_REACHED = "rate_not_reached"  # arrivals, of those that were due
    USERS_NOT_REACHED = "users_not_reached"  # most users at once, of those requested
    NOTHING_MEASURED = "nothing_measured"
    UNACCOUNTED = "unaccounted"  # exchanges that began, and nothing more is known of them
    TOO_FEW_SAMPLES = "too_few_samples"  # samples of an objective
    NO_SUCH_SCENARIO = "no_such_scenario"  # an objective of a scenario that did not run
    IM_FORGOTTEN = "im_forgotten"  # messages that the sink no longer had
    IM_NOT_MEASURED = "im_not_measured"
    SERVER_ENDED = "server_ended"  # its process, of which an objective is; `detail` says how
    CUT_SHORT = "cut_short"  # seconds until a signal ended the run
    WARM_UP_NOT_FOUND = "warm_up_not_found"  # with `--warmup auto`; `detail` says why
    SERVER_NOT_IDLE = "server_not_idle"  # when a window of a capacity search began
    SEARCH_UNFINISHED = "search_unfinished"  # a capacity search without an answer
    DRIFTING = "drifting"  # of a run that can be trusted and was not steady; `detail` says how

    @property
    def is_generator(self) -> bool:
        """Whether a better load generator would have measured well."""
        return self in _GENERATOR


@dataclass(frozen=True, slots=True)
class GeneratorLimit:
    """What the load generator may be at most. `field`: of `GeneratorHealth` and of results."""

    kind: CauseKind
    field: str
    limit: float  # in seconds, or a share of 1
    title: str

    @property
    def is_share(self) -> bool:
        return not self.field.endswith("_s")

    def here(self, clock: str, schedule_lag_limit_s: float) -> float | None:
        """The limit in a run; None: it has none. Objectives may ask for less schedule lag."""
        if self.kind is CauseKind.LOOP_LAG and clock == "kernel":
            return None  # a late loop changes no time: what it merged has bounds
        return schedule_lag_limit_s if self.kind is CauseKind.SCHEDULE_LAG else self.limit


# A run beyond one of them is INVALID. Reports, metrics and dashboards read them here.
GENERATOR_LIMITS = {
    limit.kind: limit
    for limit in (
        GeneratorLimit(CauseKind.LOOP_LAG, "loop_lag_p99_s", 0.020, "event-loop lag p99"),
        GeneratorLimit(CauseKind.SCHEDULE_LAG, "schedule_lag_p99_s", MAX_SCHEDULE_LAG_S, "schedule lag p99"),
        GeneratorLimit(CauseKind.THINK_TIME, "think_time_lost", 0.05, "think time lost"),
        GeneratorLimit(CauseKind.CPU, "cpu_max", 0.90, "CPU of the busiest process"),
    )
}
GENERATOR_CAUSES = (*GENERATOR_LIMITS, CauseKind.EXHAUSTED)
_GENERATOR = {CauseKind.MEASUREMENT_ERROR, *GENERATOR_CAUSES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One reason. `value` is what was found and `limit` what should have been, in the unit of the kind.

    `at_s`: since the run's start. `stage`: when it concerns one stage only. `detail`: text from outside.
    """

    kind: CauseKind
    value: float | None = None
    limit: float | None = None
    at_s: float | None = None
    stage: str | None = None
    objective: str | None = None
    scenario: str | None = None
    detail: str | None = None

    def to_json(self) -> dict[str, Any]:
        """All but the sentence."""
        return {**asdict(self), "kind": self.kind.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorHealth:
    """How well the load generator itself did: the worst of its processes. CPU is a share of one core.

    Of a run, a stage or a window; None: not known.
    """

    processes: int = 1
    clock: str = "user"  # who stamps what arrives: "kernel", or the process itself in one of them
    loop_lag_p99_s: float | None = None
    loop_lag_max_s: float | None = None
    cpu_max: float | None = None
    schedule_lag_p99_s: float | None = None
    schedule_lag_limit_s: float = MAX_SCHEDULE_LAG_S
    pauses: int = 0  # of users between their tasks (closed model), and all of them together:
    paused_s: float = 0.0  # as long as they were meant to be
    overslept_s: float = 0.0  # and by how much they were longer
    exhausted: tuple[str, ...] = ()  # own limits that it ran into: open files, local ports, memory, threads
    lost_workers: int = 0
    lost_from_s: float | None = None  # since the run's start: from when on a lost worker is not known of
    user_errors: int = 0  # exceptions of the locustfile's own code, of all processes

    @property
    def think_time_lost(self) -> float | None:
        """By which share the pauses were too long: so many fewer requests than the users would make."""
        if not self.paused_s or self.overslept_s < LATE_S * self.pauses:
            return 0.0 if self.pauses else None
        return self.overslept_s / self.paused_s


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenArrivals:
    """The arrivals of an open model in the whole run: how many there should have been, and were."""

    process: str
    seed: int
    rate_per_s: float
    expected: float
    intended: int
    kinds: int = 1  # of users, each with a schedule of its own

    @property
    def fell_short(self) -> bool:
        """Far too few."""
        return fell_short(self.intended, self.expected, by_chance=self.by_chance, kinds=self.kinds)

    @property
    def by_chance(self) -> bool:
        """Whether fewer arrivals may be chance: evenly spaced ones (`constant`) have none."""
        return self.process != "constant"


def schedule_lag_limit_s(objectives: Iterable[Objective] = ()) -> float:
    """50 ms, or a tenth of the strictest limit on a metric that lateness changes."""
    limits = (
        objective.limit * OBJECTIVE_SHARE
        for objective in objectives
        if objective.metric in LAG_SENSITIVE
        and objective.unit is Unit.SECONDS
        and objective.operator.startswith("<")
    )
    return min((MAX_SCHEDULE_LAG_S, *limits))


def fell_short(arrivals: float, expected: float, *, by_chance: bool, kinds: int = 1) -> bool:
    """More than 5 % too few, and more than chance explains.

    `by_chance`: chance is 3 standard deviations of a Poisson count. Evenly spaced arrivals have no chance; of
    each of the `kinds` of users, which have schedules of their own, at most one may still be due.
    """
    slack = 3 * math.sqrt(expected) if by_chance else kinds
    return arrivals < ENOUGH * expected - slack


def generator_causes(health: GeneratorHealth) -> list[Cause]:
    """Limits that the load generator was beyond, of `GENERATOR_CAUSES`."""
    causes = [Cause(kind=CauseKind.EXHAUSTED, detail=name) for name in health.exhausted]
    for kind, row in GENERATOR_LIMITS.items():
        value, limit = getattr(health, row.field), row.here(health.clock, health.schedule_lag_limit_s)
        if value is not None and limit is not None and value > limit:
            causes.append(Cause(kind=kind, value=value, limit=limit))
    return causes


def run_causes(
    health: GeneratorHealth, tally: Tally, arrivals: OpenArrivals | None = None, im_forgotten: int = 0
) -> list[Cause]:
    """Of a whole run. `arrivals` None: closed model."""
    causes = generator_causes(health)
    if health.lost_workers:
        causes.append(lost_workers(health.lost_workers, health.lost_from_s))
    if not tally.counted:
        causes.append(Cause(kind=CauseKind.NOTHING_MEASURED))
    if tally.in_flight:
        causes.append(Cause(kind=CauseKind.UNACCOUNTED, value=tally.in_flight))
    if im_forgotten:
        causes.append(Cause(kind=CauseKind.IM_FORGOTTEN, value=im_forgotten))
    if arrivals is not None and arrivals.fell_short:
        causes.append(rate_not_reached(arrivals.intended, arrivals.expected))
    return causes


def part_causes(
    health: GeneratorHealth,
    objectives: Iterable[Objective],
    *,
    arrived: int,
    due: float | None,
    by_chance: bool,
    kinds: int = 1,
) -> list[Cause]:
    """Of a part of a run, a window of a search for instance. `due` None: no rate was asked for.

    `by_chance`: arrivals are Poisson's; `kinds`: of users, each with a schedule of its own.
    """
    causes = generator_causes(replace(health, schedule_lag_limit_s=schedule_lag_limit_s(objectives)))
    if due is not None and fell_short(arrived, due, by_chance=by_chance, kinds=kinds):
        causes.append(rate_not_reached(arrived, due))
    return causes


def stage_causes(
    stage: LoadStage,
    stats: Stats,
    objectives: Sequence[Objective],
    *,
    clock: str,
    by_chance: bool,
    kinds: int = 1,
) -> list[Cause]:
    lag = stats.schedule_lag()
    return part_causes(
        GeneratorHealth(
            clock=clock, loop_lag_p99_s=stage.loop_lag_p99_s, schedule_lag_p99_s=lag.percentile(99)
        ),
        objectives,
        arrived=lag.n + stats.outcomes["dropped"],
        due=stage.due,
        by_chance=by_chance,
        kinds=kinds,
    )


def measurement_errors(judged: Iterable[ObjectiveResult]) -> list[Cause]:
    """Of objectives whose percentile is not known well enough, whatever the others say."""
    return [
        Cause(
            kind=CauseKind.MEASUREMENT_ERROR,
            objective=item.objective.text,
            scenario=item.objective.scenario,
            value=item.error_s,
            limit=item.error_limit_s,
        )
        for item in judged
        if item.is_uncertain
    ]


def no_data(item: ObjectiveResult, tally: Tally) -> Cause:
    """Of an objective that could not be judged."""
    objective = item.objective
    ran = {key.scenario for key in (*tally.counted, *tally.excluded)}
    if objective.scenario is not None and objective.scenario not in ran:
        return Cause(
            kind=CauseKind.NO_SUCH_SCENARIO,
            objective=objective.text,
            scenario=objective.scenario,
            detail=", ".join(sorted(ran)) or None,
        )
    return Cause(
        kind=CauseKind.TOO_FEW_SAMPLES, objective=objective.text, scenario=objective.scenario, value=item.n
    )


def server_causes(server: ServerUsage | None, objectives: Iterable[Objective]) -> list[Cause]:
    """Of objectives on a server's process that ended while it was watched."""
    if server is None or server.ended is None or not any(item.unit.is_of_server for item in objectives):
        return []
    return [Cause(kind=CauseKind.SERVER_ENDED, at_s=server.ended.t_s, detail=server.ended.how.value)]


def rate_not_reached(arrived: int, due: float) -> Cause:
    return Cause(kind=CauseKind.RATE_NOT_REACHED, value=arrived, limit=due)


def users_not_reached(users: int, requested: int) -> Cause:
    return Cause(kind=CauseKind.USERS_NOT_REACHED, value=users, limit=requested)


def lost_workers(count: int, from_s: float | None = None) -> Cause:
    return Cause(kind=CauseKind.WORKERS_LOST, value=count, at_s=from_s)
