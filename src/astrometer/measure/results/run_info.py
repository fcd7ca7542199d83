"""What is known of a run besides its measurements: how it was loaded, by whom, and how the generator did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from astrometer.measure.capacity.capacity_result import CapacityRun
from astrometer.measure.slo.run_verdict import Stop
from astrometer.measure.slo.slo_parser import Objective
from astrometer.measure.slo.stages import LoadStage
from astrometer.measure.slo.validity import MAX_SCHEDULE_LAG_S, fell_short
from astrometer.measure.stalls import THRESHOLD_S as STALL_THRESHOLD_S


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorHealth:
    """How well the load generator itself did: the worst of its processes. CPU is a share of one core."""

    processes: int = 1
    loop_lag_p99_s: float | None = None
    loop_lag_max_s: float | None = None
    cpu_max: float | None = None
    schedule_lag_p99_s: float | None = None
    schedule_lag_limit_s: float = MAX_SCHEDULE_LAG_S
    streams_peak: int | None = None  # most chats under way at once, of the process nearest to its limit
    streams_calibrated: int | None = None  # as many as it measures well; None: never calibrated
    lost_workers: int = 0
    lost_from_s: float | None = None  # since the run's start: from when on a lost worker is not known of
    user_errors: int = 0  # exceptions of the locustfile's own code, of all processes


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
        """Of `constant` arrivals chance explains nothing."""
        return self.process != "constant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Whom a run chatted as: `PREFIX-ID-<number>`, or `username` for all. What `astrometer clean` looks for.

    `users`: (numbers used, the number before the first) of each process.
    """

    run_id: str
    prefix: str
    username: str | None = None
    users: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What is known of a run besides its measurements. `start` is wall-clock epoch seconds."""

    scenario: str
    url: str
    start: float
    duration_s: float  # until no new exchange began: ramp, warm-up and window, without the drain
    excluded_s: float = 0.0  # ramp and warm-up
    version: str | None = None
    kind: str | None = None  # "astrbot" or "simulator"
    users: int | None = None
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    objectives: Sequence[Objective] = ()
    problems: Sequence[str] = ()  # whatever else makes the run INVALID
    arrivals: OpenArrivals | None = None  # None: closed model
    generator: GeneratorHealth = field(default_factory=GeneratorHealth)
    profile: str | None = None  # the shape of the load, as text
    stages: Sequence[LoadStage] = ()  # those of the profile, in the order of the tally's
    stop: Stop | None = None  # ended before its time
    capacity: CapacityRun | None = None  # a search, whose windows are judged one by one
    names: Names | None = None
    stall_threshold_s: float = STALL_THRESHOLD_S
