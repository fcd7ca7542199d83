"""One test in one process: its settings, clock and names, and what is measured. Users report to it.

Every process has one: a worker's collects and is drained by `locust_plugin.distributed`, the master's only
merges. `run_results` makes the results of it.
"""

import math
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

from astrometer.api.endpoints import Scope
from astrometer.clock import reading_of
from astrometer.config.secret import Secret
from astrometer.load import generator_limits
from astrometer.load.capacity.capacity_progress import SearchStatus
from astrometer.load.capacity.model_status import ModelStatus
from astrometer.load.messenger.messenger_run import MessengerOfRun
from astrometer.load.options import Settings
from astrometer.load.run import time_slots
from astrometer.load.run.health import HealthMonitor, ProcessHealth
from astrometer.load.run.im_delivery import ImDelivery
from astrometer.load.run.record_file import RecordFile
from astrometer.load.run.record_log import RecordLog
from astrometer.load.run.recorder import OtherRecorder, Recorder
from astrometer.load.run.role import ProcessRole
from astrometer.load.run.run_clock import RunClock
from astrometer.load.run.run_names import UserNames
from astrometer.load.schedule.open_model import OpenModel
from astrometer.load.schedule.profile import Profile
from astrometer.load.schedule.requested_users import RequestedUsers
from astrometer.load.schedule.shapes import profile_of
from astrometer.load.server.pulse_watch import PulseWatch
from astrometer.load.server.server_watch import ServerWatch
from astrometer.load.workload.workload_file import Workload
from astrometer.measure.capacity.capacity_result import CapacityRun
from astrometer.measure.records import record_files
from astrometer.measure.slo.objectives import (
    ObjectiveResult,
    evaluate_objectives,
    goals,
    scenario_goals,
)
from astrometer.measure.slo.run_verdict import Stop
from astrometer.measure.slo.stages import stage_at
from astrometer.measure.slo.validity import Cause
from astrometer.measure.tally.tally import Tally
from astrometer.measure.tally.windows import Window

# These travel from the master to its workers among the parsed options.
RUN_ID_OPTION = "astrometer_run_id"
ELAPSED_OPTION = "astrometer_elapsed_s"  # how old the run is when a worker joins it
START_OPTION = "astrometer_start"  # when it began (`perf_counter`), and whose clock said so
# A worker's clock starts with the master's first message to it; later ones may be a little faster.
STAGE_SLACK_S = 0.02


class Run:
    """What one test of this process knows. Users find it at `environment.astrometer.run`."""

    def __init__(self, environment: Any, settings: Settings, keys: Mapping[Scope, Secret]) -> None:
        parsed, runner = environment.parsed_options, environment.runner
        self._environment = environment
        self.id: str = getattr(parsed, RUN_ID_OPTION)
        self.role = ProcessRole.of(runner)
        self.settings = settings
        self.host = (environment.host or "").rstrip("/")  # for good: the keys go nowhere else
        self.keys = keys
        self.corpus = settings.corpus()
        self.workload = settings.workload()
        self.clock = RunClock(_age_s(parsed))
        self.names = UserNames(self.id, settings, getattr(runner, "worker_index", 0))
        self.facts: dict[str, Any] = {}  # what users of this process learnt of the server

        # The load
        self.profile = profile_of(parsed)
        self.open_model = _open_model(environment, settings, self.workload)
        self.kinds = max(1, len(environment.user_classes))  # of users, each with a schedule of its own
        self.requested = RequestedUsers(runner, lambda: self.clock.elapsed_s)  # not followed on workers

        self.messenger = MessengerOfRun(settings, self.id, getattr(runner, "worker_index", 0))

        # What is measured
        self.tally = _tally(settings, self.profile)
        self.records = self._record_log(getattr(runner, "worker_index", 0)) if settings.records else None
        self.recorder = Recorder(environment, self.tally, self.clock, self.records)
        self.others = OtherRecorder(self.clock, settings.warmup_s)
        self.delivery = ImDelivery(settings.im_sink)
        self.slot_book = time_slots.SlotBook(lambda: self.clock.elapsed_s) if settings.capacity else None
        status = settings.model_status
        self.model = ModelStatus(status) if status and self.role.leads else None
        self.health = _health(self.clock, self.profile, self.slot_book)
        self.server = self._server_watch() if self.role.leads else None
        self.pulse = self._pulse_watch() if self.role.leads and self.server is None else None

        # What all processes reported, and how it ended; not on workers
        self.record_file = RecordFile(settings.records) if settings.records and self.role.leads else None
        self.slots = time_slots.Slots()
        self.processes: dict[str, ProcessHealth] = {}
        self.intended = 0  # arrivals of an open model
        self.messenger_counts: Counter[str] = Counter()  # by the links of all processes, of no question
        self.lost_workers = 0
        self.lost_from_s: float | None = None
        self.causes: list[Cause] = []  # what makes the run INVALID
        self.stop: Stop | None = None  # who ended it early
        self.search: Callable[[], CapacityRun] | None = None  # what a search has found
        self.search_status: Callable[[], SearchStatus] | None = None  # where it is

    def _record_log(self, process: int) -> RecordLog:
        settings, path = self.settings, self.settings.records
        always = {"run": self.id, "version": settings.version, "process": process}
        return RecordLog(
            self.clock,
            always={name: value for name, value in always.items() if value is not None},
            window=Window(excluded_s=settings.warmup_s),
            secrets=[key.reveal() for key in self.keys.values()],
            with_text=settings.records_text,
            compressed=path is not None and record_files.is_compressed(path),
        )

    def _server_watch(self) -> ServerWatch | None:
        pid, warmup_s = self.settings.server_pid, self.settings.warmup_s
        return (
            None if pid is None else ServerWatch(pid, self.host, self.clock, self.tally.succeeded, warmup_s)
        )

    def _pulse_watch(self) -> PulseWatch:
        return PulseWatch(self.host, self.clock, self.settings.warmup_s, self.settings.tls)

    @property
    def is_over(self) -> bool:
        return self.clock.is_over

    def objectives_so_far(self) -> list[ObjectiveResult]:
        window_s = max(0.0, self.clock.elapsed_s - self.settings.warmup_s)
        server = None if self.server is None else self.server.usage()
        return evaluate_objectives(self.settings.objectives, self.tally, window_s, server)

    def hear_requests(self) -> None:
        """From Locust, until nothing new begins."""
        request = self._environment.events.request
        request.add_listener(self.others.heard)
        if self.slot_book is not None:
            request.add_listener(self.slot_book.ended)

    def no_more_arrivals(self) -> None:
        """The window ends; what runs is drained and still counts."""
        if self.is_over:
            return
        self.clock.stop()
        self.requested.stop()
        if self.slot_book is not None:
            self._environment.events.request.remove_listener(self.slot_book.ended)
        if self.open_model is not None:
            self.open_model.no_more_arrivals()

    def drain(self) -> None:
        """Locust's users are gone; let the arrivals of an open model end within the stop timeout."""
        if self.open_model is not None:
            self.open_model.drain(self._environment.stop_timeout)

    def close(self) -> None:
        """Everything has ended: the next test begins with listeners of its own."""
        self._environment.events.request.remove_listener(self.others.heard)
        if self.records is not None:
            self.records.stop()
        self.messenger.close()
        if self.model is not None:
            self.model.close()

    def paused(self, meant_s: float, late_s: float) -> None:
        """A user of the closed model waited between two tasks, so much longer than it was meant to."""
        self.health.paused(meant_s, late_s)
        if self.slot_book is not None:
            self.slot_book.paused(meant_s, late_s)

    def take_intended(self) -> int:
        """Arrivals of this process since the last call."""
        return self.open_model.take_intended() if self.open_model is not None else 0

    def note_cause(self, cause: Cause) -> None:
        """Something that makes the run INVALID."""
        if cause not in self.causes:
            self.causes.append(cause)


def _age_s(parsed: Any) -> float:
    """How old the run is. On the machine of the master to the microsecond; on another as it was told."""
    started = reading_of(getattr(parsed, START_OPTION, (0.0, math.inf)))
    return float(getattr(parsed, ELAPSED_OPTION, 0.0)) if started is None else perf_counter() - started


def _tally(settings: Settings, profile: Profile | None) -> Tally:
    """With a stage for each part of the profile, or for each slot of a search."""
    stages = [stage.start_s - STAGE_SLACK_S for stage in profile.stages] if profile else []
    return Tally(
        goals(settings.objectives),
        Window(excluded_s=settings.warmup_s),
        stages if settings.capacity is None else time_slots.borders(),
        scenario_goals=scenario_goals(settings.objectives),
        judged=[objective.metric for objective in settings.objectives],
        stall_s=settings.stall_threshold_s,
        by_step=settings.warmup.is_found,
    )


def _health(clock: RunClock, profile: Profile | None, slot_book: time_slots.SlotBook | None) -> HealthMonitor:
    monitor = HealthMonitor()
    generator_limits.reached.listener = None if slot_book is None else slot_book.ran_out
    if slot_book is not None:
        monitor.watcher = slot_book.sampled
    if profile is not None:
        starts_s = [stage.start_s for stage in profile.stages]
        monitor.stage = lambda: stage_at(starts_s, clock.elapsed_s)
    return monitor


def _open_model(environment: Any, settings: Settings, workload: Workload | None) -> OpenModel | None:
    if settings.rate_unit <= 0:
        return None
    return OpenModel(
        environment,
        unit=settings.rate_unit,
        process=settings.arrivals,
        seed=settings.arrival_seed,
        max_in_flight=settings.max_in_flight,
        paused_s=0.0 if workload is None else workload.paused_s,
    )


def new_run_id() -> str:
    return secrets.token_hex(3)
