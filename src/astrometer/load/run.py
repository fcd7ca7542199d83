"""One test in one process: settings, tally, health -> results. Begun at `test_start`, closed at `test_stop`.

Every process has one: a worker's collects and is drained by `load.distributed`, the master's only merges.
"""

import logging
import platform
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import locust

from astrometer import __version__
from astrometer.api.endpoints import Scope
from astrometer.config import Secret
from astrometer.load.health import HealthMonitor, ProcessHealth, worst
from astrometer.load.im_watch import Sent, SinkError, Watch
from astrometer.load.open_model import OpenModel
from astrometer.load.options import Settings
from astrometer.load.profile import Profile
from astrometer.load.recorder import Recorder
from astrometer.load.shapes import profile_of
from astrometer.measure import results
from astrometer.measure.delivery import Observed, record
from astrometer.measure.histogram import Histogram
from astrometer.measure.objectives import goals
from astrometer.measure.results import LoadStage, OpenArrivals
from astrometer.measure.tally import Tally
from astrometer.measure.windows import Window

RUN_ID_OPTION = "astrometer_run_id"  # travels from the master to its workers among the parsed options
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
        self._start_wall_s = time.time()
        self._start_s = time.perf_counter()
        self._stop_s: float | None = None
        window = Window(start=self._start_wall_s, excluded_s=settings.warmup_s)
        self.profile = profile_of(environment.parsed_options)
        stages = self.profile.stages if self.profile else ()
        borders = [self._start_wall_s + stage.start_s - STAGE_SLACK_S for stage in stages]
        self.tally = Tally(goals(settings.objectives), window, borders)
        self.recorder = Recorder(environment, self.tally)
        self.sent = Sent()
        self.health = HealthMonitor()
        self.processes: dict[str, ProcessHealth] = {}
        self.lost_workers = 0
        self.facts: dict[str, Any] = {}  # what users of this process learnt of the server
        self._watch = Watch(settings.im_sink) if settings.im_sink else None
        self._delivery: Observed | None = None
        self._problems: list[str] = []
        self._environment = environment
        self.open_model = self._make_open_model(environment, worker_index)
        self._next_user = worker_index * USERS_PER_WORKER
        self._intended = 0  # arrivals of workers, as reported

    def username(self) -> str:
        """A name of its own for each user: `astrometer-<run>-<number>`, never an administrator's."""
        self._next_user += 1
        return f"{self.settings.user_prefix}-{self.id}-{self._next_user}"

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
            problem = f"IM delivery was not measured: {exc}"
            log.error("%s", problem)  # noqa: TRY400 (the reason is in the text)
            self._problems = [problem]

    def results(self) -> dict[str, Any]:
        """The whole content of `results.json`."""
        environment = self._environment
        stem = Path(environment.parsed_locustfiles[0]).stem if environment.parsed_locustfiles else ""
        info = results.RunInfo(
            scenario=stem or Path(environment.locustfile or "locustfile").stem,
            url=self.host,
            start=self._start_wall_s,
            duration_s=self.elapsed_s,
            excluded_s=self.settings.warmup_s,
            arrivals=self._arrivals(),
            version=self.settings.version,
            users=self._users(),
            command=sys.argv,
            environment={
                "astrometer": __version__,
                "locust": locust.__version__,
                "python": platform.python_version(),
                "platform": platform.platform(),
            },
            objectives=self.settings.objectives,
            problems=self._problems,
            profile=str(self.profile) if self.profile else None,
            stages=_stages(self.profile) if self.profile else (),
            generator=worst(self.processes.values(), self.tally, self.lost_workers),
        )
        return results.build(self.tally, info, self._delivery)

    def _users(self) -> int:
        """As many as were asked for; of a profile its peak."""
        if self.profile is None:
            return int(self._environment.runner.target_user_count)
        return round(self.profile.peak / (self.settings.rate_unit if self.profile.is_rate else 1.0))

    def _arrivals(self) -> OpenArrivals | None:
        settings = self.settings
        if settings.rate_unit <= 0:
            return None
        if self.profile is not None:
            return self._shaped_arrivals(self.profile)
        rate = self._environment.runner.target_user_count * settings.rate_unit
        spawn_rate = float(getattr(self._environment.parsed_options, "spawn_rate", None) or 1.0)
        ramp_s = (self._environment.runner.target_user_count - 1) // spawn_rate
        return OpenArrivals(
            process=settings.arrivals.value,
            seed=settings.arrival_seed,
            rate_per_s=rate,
            expected=rate * max(0.0, self.elapsed_s - ramp_s / 2),
            intended=self._intended + self.take_intended(),
        )

    def _shaped_arrivals(self, profile: Profile) -> OpenArrivals:
        per_level = 1.0 if profile.is_rate else self.settings.rate_unit
        return OpenArrivals(
            process=self.settings.arrivals.value,
            seed=self.settings.arrival_seed,
            rate_per_s=profile.peak * per_level,
            expected=profile.area(self.elapsed_s) * per_level,
            intended=self._intended + self.take_intended(),
        )

    def _make_open_model(self, environment: Any, worker_index: int) -> OpenModel | None:
        if self.settings.rate_unit <= 0:
            return None
        return OpenModel(
            environment,
            unit=self.settings.rate_unit,
            process=self.settings.arrivals,
            seed=self.settings.arrival_seed,
            shard=worker_index,
            max_in_flight=self.settings.max_in_flight,
        )


def new_run_id() -> str:
    return secrets.token_hex(3)


def _stages(profile: Profile) -> list[LoadStage]:
    return [
        LoadStage(
            name=stage.name,
            start_s=stage.start_s,
            end_s=stage.end_s,
            peak=stage.peak,
            is_rate=profile.is_rate,
        )
        for stage in profile.stages
    ]
