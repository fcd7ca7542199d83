"""A running test -> what its live views show: the tab in Locust's web UI and the Prometheus metrics.

Reads the tally as it is merged and keeps nothing of its own. In a distributed test it is as old as the
workers' last reports, three seconds at most. What its readers do with large histograms takes milliseconds:
they must let the event loop go on between any two of them (`breathe`), or they would disturb what they show.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from astrometer.load.capacity.capacity_progress import SearchStatus
from astrometer.load.run.health import worst
from astrometer.load.run.role import ProcessRole
from astrometer.load.run.run import Run
from astrometer.measure.server_usage import ServerUsage
from astrometer.measure.slo.objectives import ObjectiveResult
from astrometer.measure.slo.validity import GeneratorHealth, schedule_lag_limit_s
from astrometer.measure.tally.exchange_stats import Stats
from astrometer.measure.tally.histogram import Histogram


class LiveState:
    """The test that goes on, or the last one. `current`: None before the first."""

    def __init__(self, environment: Any, current: Callable[[], Run | None]) -> None:
        self._environment = environment
        self._current = current

    @property
    def run(self) -> Run | None:
        return self._current()

    @property
    def name(self) -> str:
        """Of the locustfile, or how the target would be called in a result."""
        return str(self._environment.locustfile or "locustfile").removesuffix(".py")

    @property
    def run_name(self) -> str | None:
        """When the run began, its locustfile and its id: sorted by name they are in order."""
        if self.run is None:
            return None
        began = datetime.fromtimestamp(self.run.clock.started_at, UTC)
        return f"{began:%Y-%m-%dT%H:%M:%SZ}-{self.name}-{self.run.id}"

    @property
    def host(self) -> str:
        hosts = [self._environment.host, *(user.host for user in self._environment.user_classes)]
        return next((str(host).rstrip("/") for host in hosts if host), "")

    @property
    def users(self) -> int:
        return int(self._environment.runner.user_count)

    @property
    def arrivals_per_s(self) -> float | None:
        """What the users of an open model stand for; None in a closed one."""
        run = self.run
        if run is None or run.settings.rate_unit <= 0:
            return None
        return self.users * run.settings.rate_unit

    def scenarios(self) -> list[str]:
        """Those that some user of the locustfile does, and any others that were seen."""
        known = {
            str(user.scenario)
            for user in self._environment.user_classes
            if hasattr(user, "scenario") and (user.weight > 0 or user.fixed_count > 0)
        }
        run = self.run
        if run is not None:
            known |= {key.scenario for key in (*run.tally.counted, *run.tally.excluded)}
        return sorted(known)

    def counts(self, scenario: str) -> Stats:
        """Of whatever began; without its histograms."""
        total, run = Stats(), self.run
        if run is not None:
            for book in (run.tally.counted, run.tally.excluded):
                for key, stats in book.items():
                    if key.scenario == scenario:
                        bare = replace(stats, ok=defaultdict(Histogram), failed=defaultdict(Histogram))
                        total.merge(bare)
        return total

    def histograms(self, scenario: str | None, metric: str) -> list[Histogram]:
        """Of each operation, or of all scenarios: good turns that began after ramp and warm-up."""
        run = self.run
        return [
            stats.ok[metric]
            for key, stats in (run.tally.counted if run is not None else {}).items()
            if metric in stats.ok and scenario in (None, key.scenario)
        ]

    def generator(self) -> GeneratorHealth | None:
        run = self.run
        if run is None:
            return None
        processes = list(run.processes.values())
        if not processes and run.role is ProcessRole.LOCAL:
            processes = [run.health.so_far()]
        limit_s = schedule_lag_limit_s(run.settings.objectives)
        return worst(processes, run.tally, run.lost_workers, schedule_lag_limit_s=limit_s)

    def objectives(self) -> list[ObjectiveResult]:
        return [] if self.run is None else self.run.objectives_so_far()

    def search(self) -> SearchStatus | None:
        """Where the capacity search is; None without one."""
        return None if self.run is None or self.run.search_status is None else self.run.search_status()

    def server(self) -> ServerUsage | None:
        """The process of the server; None where nobody knows it."""
        run = self.run
        return None if run is None or run.server is None else run.server.usage()

    def stage(self) -> int | None:
        """The number of the stage that goes on, from 1; None without a profile, or when it is over."""
        run = self.run
        if run is None or run.profile is None or run.is_over:
            return None
        started = [stage for stage in run.profile.stages if stage.start_s <= run.clock.elapsed_s]
        return len(started)
