"""One test in one process: settings, tally, health -> results. Begun at `test_start`, closed at `test_stop`.

Every process has one: a worker's collects and is drained by `distributed`, the master's only merges.
"""

import logging
import os
import platform
import secrets
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import locust
from locust.runners import MasterRunner

from astrometer import __version__
from astrometer.api.endpoints import Scope
from astrometer.config.settings import Secret
from astrometer.load import run_journal, time_slots
from astrometer.load.health import HealthMonitor, ProcessHealth, worst, worst_stage_lag
from astrometer.load.im_delivery import Sent, SinkError, Watch
from astrometer.load.options import SCOPE_VARIABLES, Settings
from astrometer.load.recorder import Recorder
from astrometer.load.requested_users import Demand
from astrometer.load.schedule.open_model import LEAD_S, OpenModel
from astrometer.load.schedule.profile import Profile
from astrometer.load.schedule.shapes import profile_of
from astrometer.masking import mask_command
from astrometer.measure.capacity.capacity_result import CapacityRun
from astrometer.measure.delivery import Observed, record
from astrometer.measure.histogram import Histogram
from astrometer.measure.results import document
from astrometer.measure.results.run_info import RunInfo, Usernames
from astrometer.measure.slo.cause_sentences import sentence
from astrometer.measure.slo.objectives import goals, scenario_goals
from astrometer.measure.slo.run_verdict import Stop
from astrometer.measure.slo.stages import LoadStage, stage_at
from astrometer.measure.slo.validity import Cause, CauseKind, OpenArrivals, schedule_lag_limit_s
from astrometer.measure.tally import Tally
from astrometer.measure.windows import Window

# These travel from the master to its workers among the parsed options.
RUN_ID_OPTION = "astrometer_run_id"
ELAPSED_OPTION = "astrometer_elapsed_s"  # how old the run is when a worker joins it
USERS_PER_WORKER = 100_000
# A worker's clock starts with the master's first message to it; later ones may be a little faster.
STAGE_SLACK_S = 0.02

log = logging.getLogger(__name__)


class Run:
    """What one test of this process knows. Users find it at `environment.astrometer.run`."""

    def __init__(
        self, environment: Any, settings: Settings, keys: Mapping[Scope, Secret], worker_index: int
    ) -> None:
        self.id: str = getattr(environment.parsed_options, RUN_ID_OPTION)
        self.settings = settings
        self.host = (environment.host or "").rstrip("/")  # for good: the keys go nowhere else
        self.keys = keys
        self.corpus = settings.corpus()
        elapsed_s = getattr(environment.parsed_options, ELAPSED_OPTION, 0.0)
        self._start_wall_s = time.time() - elapsed_s
        self._start_s = time.perf_counter() - elapsed_s
        self._stop_s: float | None = None
        window = Window(start=self._start_wall_s, excluded_s=settings.warmup_s)
        self.profile = profile_of(environment.parsed_options)
        stages = self.profile.stages if self.profile else ()
        borders = [self._start_wall_s + stage.start_s - STAGE_SLACK_S for stage in stages]
        self.slot_book: time_slots.SlotBook | None = None  # of a search for the capacity
        if settings.capacity is not None:
            borders = time_slots.borders(self._start_wall_s)
            self.slot_book = time_slots.SlotBook(lambda: self.elapsed_s)
            environment.events.request.add_listener(self.slot_book.ended)
        self.tally = Tally(
            goals(settings.objectives),
            window,
            borders,
            scenario_goals=scenario_goals(settings.objectives),
            judged=[objective.metric for objective in settings.objectives],
            stall_s=settings.stall_threshold_s,
        )
        self.recorder = Recorder(environment, self.tally)
        self.sent = Sent()
        self.health = HealthMonitor()
        self.health.watcher = self.slot_book.sampled if self.slot_book is not None else None
        if stages:
            starts_s = [stage.start_s for stage in stages]
            self.health.stage = lambda: stage_at(starts_s, self.elapsed_s)
        self.search: Callable[[], CapacityRun] | None = None  # what a search has found; not on workers
        self.processes: dict[str, ProcessHealth] = {}
        self.lost_workers = 0
        self.lost_from_s: float | None = None
        self.facts: dict[str, Any] = {}  # what users of this process learnt of the server
        self._watch = Watch(settings.im_sink) if settings.im_sink else None
        self._delivery: Observed | None = None
        self._causes: list[Cause] = []
        self._environment = environment
        self.open_model = self._make_open_model(environment)
        self._lead_s = LEAD_S if isinstance(environment.runner, MasterRunner) else 0.0
        self._first_user = self._next_user = worker_index * USERS_PER_WORKER
        self._names: dict[str, tuple[int, int]] = {}  # of workers, as reported
        self.stop: Stop | None = None  # who ended it early
        self._intended = 0  # arrivals of workers, as reported, and of this process
        self.demand = Demand(environment.runner, lambda: self.elapsed_s)  # not followed on workers

    def next_user(self) -> int:
        """A number that no other user of the run has, in whatever process."""
        self._next_user += 1
        return self._next_user

    def username(self, number: int) -> str:
        """A name of its own for each user: `astrometer-<run>-<number>`, never an administrator's.

        Unless all have one name (`--run-username`).
        """
        return self.settings.username or f"{self.settings.user_prefix}-{self.id}-{number}"

    def session_id(self) -> str:
        """A new one that says whose it is: `clean` deletes no session of another name."""
        return f"{self.settings.user_prefix}-{self.id}-{uuid.uuid4()}"

    def used_names(self) -> tuple[int, int]:
        """How many names this process has used, and the number before the first."""
        return self._next_user - self._first_user, self._first_user

    def note_names(self, process: str, used: Sequence[int]) -> None:
        self._names[process] = (used[0], used[1])

    def names(self) -> Usernames:
        """Of all processes."""
        own = self.used_names()
        users = [*self._names.values(), *([own] if own[0] else [])]
        username = self.settings.username
        return Usernames(run_id=self.id, prefix=self.settings.user_prefix, username=username, users=users)

    def write_journal(self, *, ended: bool) -> None:
        """Once at the start, should it not come to its end, and once with all names."""
        file, names = self.settings.journal, self.names()
        if file is None:
            return
        users = [list(pair) for pair in names.users] if ended else []
        entry = run_journal.Entry(
            url=self.host,
            run_id=self.id,
            prefix=names.prefix,
            username=names.username,
            started=self._start_wall_s,
            users=users,
        )
        try:
            run_journal.append(file, entry)
        except OSError as exc:
            log.warning("the journal %s cannot be written: %s", file, exc.strerror)

    @property
    def elapsed_s(self) -> float:
        return (self._stop_s or time.perf_counter()) - self._start_s

    @property
    def started_at(self) -> float:
        """Wall clock, epoch seconds."""
        return self._start_wall_s

    @property
    def is_over(self) -> bool:
        return self._stop_s is not None

    def no_more_arrivals(self) -> None:
        """The window ends; what runs is drained and still counts."""
        if self._stop_s is None:
            self._stop_s = time.perf_counter()
            self.demand.stop()
            if self.slot_book is not None:
                self._environment.events.request.remove_listener(self.slot_book.ended)
            if self.open_model is not None:
                self.open_model.no_more_arrivals()

    def drain(self) -> None:
        """Locust's users are gone; let the arrivals of an open model end within the stop timeout."""
        if self.open_model is not None:
            self.open_model.drain(self._environment.stop_timeout)

    def take_intended(self) -> int:
        """Arrivals of this process since the last call, for shipping."""
        return self.open_model.take_intended() if self.open_model is not None else 0

    def note_intended(self, arrivals: int) -> None:
        self._intended += arrivals

    def note_cause(self, cause: Cause) -> None:
        """Something that makes the run INVALID."""
        if cause not in self._causes:
            self._causes.append(cause)

    def note_health(self, process: str, wire: Mapping[str, Any]) -> None:
        self.processes.setdefault(process, ProcessHealth(Histogram())).add(wire)

    def watch(self) -> None:
        """From here on, what arrives in the IM sink belongs to this run. Not for workers."""
        if self._watch is not None:
            with self._noting_trouble():
                self._watch.begin()

    def conclude_delivery(self) -> None:
        """Compare what was pushed with what arrived, when all processes have reported."""
        if self._watch is None:
            return
        with self._noting_trouble():
            self._delivery = self._watch.conclude(self.sent)
            if self._delivery.latency_refused is None:
                record(self.tally, self._delivery.report.matches)

    @contextmanager
    def _noting_trouble(self) -> Iterator[None]:
        try:
            yield
        except SinkError as exc:
            cause = Cause(kind=CauseKind.IM_NOT_MEASURED, detail=str(exc))
            log.error("%s", sentence(cause))  # noqa: TRY400 (the reason is in the text)
            self.note_cause(cause)

    def results(self) -> dict[str, Any]:
        """The whole content of `results.json`."""
        environment = self._environment
        stem = Path(environment.parsed_locustfiles[0]).stem if environment.parsed_locustfiles else ""
        searched = self.search() if self.search is not None else None
        info = RunInfo(
            scenario=stem or Path(environment.locustfile or "locustfile").stem,
            url=self.host,
            start=self._start_wall_s,
            duration_s=self.elapsed_s,
            excluded_s=self.settings.warmup_s,
            arrivals=self._arrivals(searched),
            version=self.settings.version,
            kind=self.settings.kind,
            users=self._users(searched),
            command=mask_command(["locust", *sys.argv[1:]], self._secrets()),
            environment={
                "astrometer": __version__,
                "locust": locust.__version__,
                "python": platform.python_version(),
                "platform": platform.platform(),
            },
            objectives=self.settings.objectives,
            waived=self.settings.slo.waived,
            causes=[*self._causes, *self._shortfall()],
            stop=self.stop,
            capacity=searched,
            names=self.names(),
            stall_threshold_s=self.settings.stall_threshold_s,
            profile=str(self.profile) if self.profile else None,
            stages=self._stages(self.profile) if self.profile else (),
            generator=replace(
                worst(
                    self.processes.values(),
                    self.tally,
                    self.lost_workers,
                    schedule_lag_limit_s=schedule_lag_limit_s(self.settings.objectives),
                    lost_from_s=self.lost_from_s,
                ),
                # Locust's own count, of all workers.
                user_errors=sum(row["count"] for row in environment.runner.exceptions.values()),
            ),
        )
        return document.build(self.tally, info, self._delivery)

    def _secrets(self) -> list[str]:
        """A master has no keys of its own, but its environment holds what its workers got."""
        named = [os.environ.get(name, "").strip() for name in ("ASTRBOT_API_KEY", *SCOPE_VARIABLES.values())]
        return [*(key.reveal() for key in self.keys.values()), *named]

    def _users(self, searched: CapacityRun | None) -> int:
        """As many as were asked for; of a profile its peak, of a search the most that it tried."""
        if searched is not None:
            return max((step.level for step in searched.steps), default=0)
        if self.profile is None:
            return self.demand.peak
        return round(self.profile.peak / (self.settings.rate_unit if self.profile.is_rate else 1.0))

    def _arrivals(self, searched: CapacityRun | None) -> OpenArrivals | None:
        settings = self.settings
        if settings.rate_unit <= 0:
            return None
        if self.profile is not None:
            return self._shaped_arrivals(self.profile)
        if searched is not None:
            return self._searched_arrivals(searched)
        return OpenArrivals(
            process=settings.arrivals.value,
            seed=settings.arrival_seed,
            rate_per_s=self.demand.peak * settings.rate_unit,
            expected=self.demand.user_seconds(self.elapsed_s - self._lead_s) * settings.rate_unit,
            intended=self._all_intended(),
            kinds=self.kinds,
        )

    @property
    def kinds(self) -> int:
        """Of users; each has a schedule of its own in the open model."""
        return max(1, len(self._environment.user_classes))

    def _shaped_arrivals(self, profile: Profile) -> OpenArrivals:
        per_level = 1.0 if profile.is_rate else self.settings.rate_unit
        return OpenArrivals(
            process=self.settings.arrivals.value,
            seed=self.settings.arrival_seed,
            rate_per_s=profile.peak * per_level,
            expected=profile.area(self.elapsed_s - self._lead_s) * per_level,
            intended=self._all_intended(),
            kinds=self.kinds,
        )

    def _stages(self, profile: Profile) -> list[LoadStage]:
        """Those of the profile, and what was due and how late the processes were in each."""
        per_level = 1.0 if profile.is_rate else self.settings.rate_unit

        def due(start_s: float, end_s: float) -> float | None:
            if per_level <= 0:
                return None
            first_s = max(start_s, self.settings.warmup_s) - self._lead_s
            last_s = min(end_s, self.elapsed_s) - self._lead_s
            return max(0.0, profile.area(last_s) - profile.area(first_s)) * per_level

        return [
            LoadStage(
                name=stage.name,
                start_s=stage.start_s,
                end_s=stage.end_s,
                peak=stage.peak,
                is_rate=profile.is_rate,
                due=due(stage.start_s, stage.end_s),
                loop_lag_p99_s=worst_stage_lag(self.processes.values(), number),
            )
            for number, stage in enumerate(profile.stages)
        ]

    def _searched_arrivals(self, searched: CapacityRun) -> OpenArrivals:
        """Every window of a search was held against its own rate already."""
        intended = self._all_intended()
        return OpenArrivals(
            process=self.settings.arrivals.value,
            seed=self.settings.arrival_seed,
            rate_per_s=max((searched.settings.load(step.level) for step in searched.steps), default=0.0),
            expected=float(intended),
            intended=intended,
            kinds=self.kinds,
        )

    def _all_intended(self) -> int:
        self._intended += self.take_intended()
        return self._intended

    def _shortfall(self) -> list[Cause]:
        """Of the users of a closed model. Whoever shapes the load is not told how many there are at once."""
        if self.settings.rate_unit > 0 or self._environment.shape_class is not None:
            return []
        cause = self.demand.shortfall(sum(used for used, _ in self.names().users))
        return [] if cause is None else [cause]

    def _make_open_model(self, environment: Any) -> OpenModel | None:
        if self.settings.rate_unit <= 0:
            return None
        return OpenModel(
            environment,
            unit=self.settings.rate_unit,
            process=self.settings.arrivals,
            seed=self.settings.arrival_seed,
            max_in_flight=self.settings.max_in_flight,
        )


def new_run_id() -> str:
    return secrets.token_hex(3)
