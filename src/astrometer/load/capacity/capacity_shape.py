"""`--capacity` as a load shape: what Locust asks once a second. One Locust run, any topology.

    locust -f locustfiles/chat.py --host http://127.0.0.1:6185 --slo 'ttft_p95 < 2s' --capacity --max 200

The search itself is in `capacity_search`.
"""

import sys
from typing import Any

from locust import LoadTestShape

from astrometer.line_fold import folded
from astrometer.load.capacity.capacity_progress import progress_line
from astrometer.load.capacity.capacity_search import CapacitySearch
from astrometer.load.options import Settings
from astrometer.load.run.run import Run
from astrometer.measure.capacity.search_settings import SearchSettings
from astrometer.measure.capacity.search_step import SearchStep

BEGIN = (0, 1.0)  # users and spawn rate of a test without any


class CapacityShape(LoadTestShape):
    """What Locust asks once a second; steers one search per test."""

    abstract = True  # nobody gets it by importing this module

    def __init__(self, settings: SearchSettings, runner: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Locust's
        self.settings = settings
        self._runner = self.runner = runner
        self._run: Run | None = None
        self._search: CapacitySearch | None = None
        self._last = BEGIN

    def reset_time(self) -> None:
        super().reset_time()  # type: ignore[no-untyped-call]
        self._last = BEGIN

    def attach(self, run: Run) -> None:
        self._run = run
        self._search = CapacitySearch(self.settings, run, self._runner, self._show)
        run.search = self._search.conclude
        run.search_status = self._search.status

    @property
    def is_done(self) -> bool:
        return self._search is not None and self._search.is_over

    def tick(self) -> tuple[int, float] | None:
        """Users, and a spawn rate that spreads them over half of the settling; all stop at once."""
        if self._search is None or self._run is None or self._run.is_over:
            return self._last
        level = self._search.level()
        if level is None:
            return None
        most = max(1, level or int(self._runner.target_user_count))
        spread_s = 1.0 if self.settings.is_rate or not level else max(1.0, self.settings.settle_s / 2)
        self._last = level, max(1.0, most / spread_s) + self._search.nudges / 1000
        return self._last

    def _show(self, number: int, step: SearchStep, invalid: int) -> None:
        if self._run is None or not self._runner.environment.parsed_options.astrometer_progress:
            return
        line = progress_line(self.settings, self._run.settings.objectives, number, step, invalid)
        rewrite = "\r\x1b[2K" if sys.stderr.isatty() else ""
        sys.stderr.write(f"{rewrite}{folded(line, sys.stderr)}\n")
        sys.stderr.flush()


def shape_of(environment: Any, settings: Settings) -> CapacityShape | None:
    """What `--capacity` asks for; None: no search."""
    return None if settings.capacity is None else CapacityShape(settings.capacity, environment.runner)


def has_answer(environment: Any) -> bool:
    shape = environment.shape_class
    return isinstance(shape, CapacityShape) and shape.is_done


def begin(environment: Any) -> None:
    """A test starts: the workers shall know what a user stands for."""
    shape = environment.shape_class
    if isinstance(shape, CapacityShape) and shape.settings.is_rate:
        environment.parsed_options.rate_unit = shape.settings.unit


def attach(environment: Any, run: Run) -> None:
    """The test has begun: the search steers it, and its results tell of the search."""
    if isinstance(environment.shape_class, CapacityShape):
        environment.shape_class.attach(run)
