"""One test in one process: settings, tally, health -> results. Begun at `test_start`, closed at `test_stop`.

Every process has one: a worker's collects and is drained by `load.distributed`, the master's only merges.
"""

import platform
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import locust

from astrometer import __version__
from astrometer.api.endpoints import Scope
from astrometer.config import Secret
from astrometer.load.health import HealthMonitor, ProcessHealth, worst
from astrometer.load.options import Settings
from astrometer.load.recorder import Recorder
from astrometer.measure import results
from astrometer.measure.histogram import Histogram
from astrometer.measure.objectives import goals
from astrometer.measure.tally import Tally

RUN_ID_OPTION = "astrometer_run_id"  # travels from the master to its workers among the parsed options
USERS_PER_WORKER = 100_000


class Run:
    """What one test of this process knows. Users find it at `environment.astrometer.run`."""

    def __init__(
        self, environment: Any, settings: Settings, keys: Mapping[Scope, Secret], worker_index: int
    ) -> None:
        self.id: str = getattr(environment.parsed_options, RUN_ID_OPTION)
        self.settings = settings
        self.keys = keys
        self.corpus = settings.corpus()
        self.tally = Tally(goals(settings.objectives))
        self.recorder = Recorder(environment, self.tally)
        self.health = HealthMonitor()
        self.processes: dict[str, ProcessHealth] = {}
        self.lost_workers = 0
        self.facts: dict[str, Any] = {}  # what users of this process learnt of the server
        self._environment = environment
        self._next_user = worker_index * USERS_PER_WORKER
        self._start_wall_s = time.time()
        self._start_s = time.perf_counter()
        self._stop_s: float | None = None

    def username(self) -> str:
        """A name of its own for each user: `astrometer-<run>-<number>`, never an administrator's."""
        self._next_user += 1
        return f"{self.settings.user_prefix}-{self.id}-{self._next_user}"

    @property
    def elapsed_s(self) -> float:
        return (self._stop_s or time.perf_counter()) - self._start_s

    @property
    def is_over(self) -> bool:
        return self._stop_s is not None

    def no_more_arrivals(self) -> None:
        """The window ends; what runs is drained and still counts."""
        if self._stop_s is None:
            self._stop_s = time.perf_counter()

    def note_health(self, process: str, wire: Mapping[str, Any]) -> None:
        self.processes.setdefault(process, ProcessHealth(Histogram())).add(wire)

    def results(self) -> dict[str, Any]:
        """The whole content of `results.json`."""
        environment = self._environment
        stem = Path(environment.parsed_locustfiles[0]).stem if environment.parsed_locustfiles else ""
        info = results.RunInfo(
            scenario=stem or Path(environment.locustfile or "locustfile").stem,
            url=(environment.host or _host_of(environment.user_classes)).rstrip("/"),
            start=self._start_wall_s,
            duration_s=self.elapsed_s,
            version=self.settings.version,
            users=environment.runner.target_user_count,
            command=sys.argv,
            environment={
                "astrometer": __version__,
                "locust": locust.__version__,
                "python": platform.python_version(),
                "platform": platform.platform(),
            },
            objectives=self.settings.objectives,
            generator=worst(self.processes.values(), self.tally, self.lost_workers),
        )
        return results.build(self.tally, info)


def new_run_id() -> str:
    return secrets.token_hex(3)


def _host_of(user_classes: list[Any]) -> str:
    return next((str(user.host) for user in user_classes if user.host), "")
