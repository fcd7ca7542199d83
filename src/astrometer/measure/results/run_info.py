"""What is known of a run besides its measurements: how it was loaded, by whom, and how the generator did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from astrometer.measure.capacity.capacity_result import CapacityRun
from astrometer.measure.results.other_requests import OtherRequest
from astrometer.measure.server_pulse import ServerPulse
from astrometer.measure.server_usage import ServerUsage
from astrometer.measure.slo.found_warm_up import FoundWarmUp
from astrometer.measure.slo.run_verdict import Stop
from astrometer.measure.slo.slo_parser import Objective
from astrometer.measure.slo.stages import LoadStage
from astrometer.measure.slo.validity import Cause, GeneratorHealth, OpenArrivals
from astrometer.measure.tally.stalls import THRESHOLD_S as STALL_THRESHOLD_S
from astrometer.measure.turns_at_once import TurnsAtOnce


@dataclass(frozen=True, slots=True, kw_only=True)
class Usernames:
    """Whom a run chatted as: `PREFIX-ID-<number>`, or `username` for all. What `astrometer clean` looks for.

    `users`: (numbers used, the number before the first) of each process. `sessions`: how many it made.
    """

    run_id: str
    prefix: str
    username: str | None = None
    users: Sequence[tuple[int, int]] = ()
    sessions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BusiestHourLoad:
    """The busiest hour of the traffic that a run follows. `users`: who ask as much in a closed model.

    `share`: of the run's users, who follow it. `scale`: how many times that hour the run was; of a shape its
    peak; None: a search, in which it differs.
    """

    turns_per_s: float
    conversations_per_s: float
    users: float
    people: int
    share: float
    scale: float | None = None

    def times(self, load: float, *, is_rate: bool) -> float:
        """So many times the busiest hour are `load` arrivals per second, or users."""
        return load * self.share / (self.conversations_per_s if is_rate else self.users)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What is known of a run besides its measurements. `start` labels it: wall clock, epoch seconds."""

    scenario: str
    url: str
    start: float
    duration_s: float  # until no new exchange began: ramp, warm-up and window, without the drain
    excluded_s: float = 0.0  # ramp and warm-up
    warm_up: FoundWarmUp | None = None  # None: it was given
    version: str | None = None
    kind: str | None = None  # "astrbot" or "simulator"
    tls_verified: bool | None = None  # None: no TLS
    users: int | None = None
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    objectives: Sequence[Objective] = ()
    drift_ok: bool = False  # a drift is told, and changes no verdict
    waived: bool = False  # without objectives: do not even fail a run in which nothing succeeded
    causes: Sequence[Cause] = ()  # whatever else makes the run INVALID
    arrivals: OpenArrivals | None = None  # None: closed model
    generator: GeneratorHealth = field(default_factory=GeneratorHealth)
    workload: BusiestHourLoad | None = None  # learnt from real traffic; None: the scenario's own
    profile: str | None = None  # the shape of the load, as text
    stages: Sequence[LoadStage] = ()  # those of the profile, in the order of the tally's
    stop: Stop | None = None  # ended before its time
    capacity: CapacityRun | None = None  # a search, whose windows are judged one by one
    names: Usernames | None = None
    stall_threshold_s: float = STALL_THRESHOLD_S
    messenger: Mapping[str, int] | None = (
        None  # what the links saw that was no question's; None: no messenger
    )
    at_once: TurnsAtOnce = field(default_factory=TurnsAtOnce)
    model_most: int | None = None  # requests at once, as the model says; None: it was not asked
    server: ServerUsage | None = None  # None: its process is not known
    records: Mapping[str, Any] | None = None  # of single exchanges: their file, and how many; None: not kept
    pulse: ServerPulse | None = None  # None: its process is known, or it does not answer such a question
    other_requests: Mapping[tuple[str, str], OtherRequest] = field(
        default_factory=dict
    )  # the locustfile's own
