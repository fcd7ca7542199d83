"""Plans -> the series that they have: all at 0 from the start, gone with their plan, counted beforehand."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry

from astrometer.config.exporter_settings import Buckets
from astrometer.config.settings import Config, ConfigError
from astrometer.probing.exporter.families import Labels
from astrometer.probing.exporter.metrics import ProbeMetrics, SelfMetrics
from astrometer.probing.plan import Plan
from astrometer.probing.status.state_by_layer import StateBook
from astrometer.probing.target_checks.scopes import MATRIX, allows

PROCESS_SERIES = 9  # of prometheus_client's ProcessCollector, with those that not every system has


class Series:
    """Keeps the series of `metrics` those of the plans in force."""

    def __init__(self, metrics: ProbeMetrics) -> None:
        self._metrics = metrics
        self._urls: dict[str, str] = {}  # by target
        self._places: dict[tuple[str, str], bool] = {}  # whether it is scheduled
        self._cells: set[Labels] = set()

    def declare(self, plans: Iterable[Plan]) -> None:
        """Make these the plans in force. Gauges of a last run are absent until there is one.

        Series of unchanged plans stay as they are, those of plans that are no more disappear.
        """
        plans = [plan for plan in plans if plan.missing is None]
        places = {plan.place: plan.schedule for plan in plans}
        urls = {plan.target.name: plan.target.url for plan in plans}
        cells = {cell for plan in plans if _has_cells(plan) for cell in _cells(plan)}
        for place, scheduled in self._places.items():
            if places.get(place) != scheduled:
                self._forget(place)
        for target, url in self._urls.items():
            if urls.get(target) != url:
                self._metrics.forget_target(target)
        for cell in self._cells - cells:
            labels = dict(zip(("target", "key", "endpoint", "expected"), cell, strict=True))
            self._metrics.scope_checks.remove_by_labels(labels)
            self._metrics.scope_violations.remove_by_labels(labels)
        self._places, self._urls, self._cells = places, urls, cells
        for target in urls:
            self._metrics.know_target(target)
        for plan in plans:
            self._declare(plan)

    def _declare(self, plan: Plan) -> None:
        metrics = self._metrics
        metrics.families.declare(plan)
        if plan.schedule:
            metrics.interval.labels(*plan.place).set(plan.interval_s)
        for cell in _cells(plan) if _has_cells(plan) else ():
            metrics.scope_checks.labels(*cell)
            for kind in ("leak", "rejected"):
                metrics.scope_violations.labels(*cell, kind)

    def _forget(self, place: tuple[str, str]) -> None:
        self._metrics.families.forget(*place)
        for leak in [leak for leak in self._metrics.leaks if leak[:2] == place]:
            del self._metrics.leaks[leak]


def _has_cells(plan: Plan) -> bool:
    return plan.probe.name == "scopes" and plan.schedule


def _cells(plan: Plan) -> Iterable[Labels]:
    """The key x endpoint matrix of a target, as far as the config states the scopes of its keys."""
    for key in plan.target.keys.values():
        for row in MATRIX:
            if key.scopes is not None:
                expected = "allowed" if allows(key.scopes, row.endpoint) else "denied"
                yield plan.target.name, key.name, row.endpoint.name, expected


def count(plans: Iterable[Plan], buckets: Buckets) -> int:
    """How many series these plans can have at most, with the exporter's own."""
    plans = list(plans)
    registry = CollectorRegistry()
    metrics = ProbeMetrics(registry, buckets)
    Series(metrics).declare(plans)
    SelfMetrics(registry)
    states = StateBook()
    states.keep(plans, 0.0)
    metrics.set_states(states.states(0.0))
    for plan in plans:
        if plan.missing is None:
            metrics.families.declare(plan, whole=True)
    return PROCESS_SERIES + sum(len(family.samples) for family in registry.collect())


def check_limit(config: Config, plans: Iterable[Plan]) -> int:
    """How many series there will be. Raises ConfigError when they are more than the config wants."""
    plans = list(plans)
    found, most = count(plans, config.exporter.buckets), config.exporter.max_series
    if found > most:
        raise ConfigError(
            f"{config.source}: {len(config.targets)} targets and {len(plans)} probes on them make {found} "
            f"series, more than {most:,}: leave probes out (probes.NAME.enabled = false or "
            f"probes.NAME.targets), or say that Prometheus can take it: exporter.max_series = {found}"
        )
    return found
