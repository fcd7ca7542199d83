"""Plans -> the series that they have: all at 0 from the start, gone with their plan, counted beforehand."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry

from astrometer.config.exporter_settings import Buckets
from astrometer.config.settings import Config, ConfigError, Target
from astrometer.probing.exporter.metrics import (
    CONNECTING,
    DIRECTIONS,
    EVENT_TYPES,
    IM_RESOURCES,
    PHASES,
    RESOURCES,
    SKIP_CAUSES,
    ProbeMetrics,
    SelfMetrics,
)
from astrometer.probing.plan import Plan
from astrometer.probing.status.state_by_layer import StateBook
from astrometer.probing.target_checks.scopes import MATRIX, allows
from astrometer.probing.verdict import REASONS

Labels = tuple[str, ...]
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
            self._metrics.target_seen(target)
        for plan in plans:
            self._declare(plan)

    def _declare(self, plan: Plan) -> None:
        metrics, place = self._metrics, plan.place
        if plan.probe.costs_tokens:
            self._declare_leaks(place, RESOURCES if _chats(plan) else IM_RESOURCES)
        if not plan.schedule:
            return  # its samples are those of whoever asks `/probe`
        metrics.runs.labels(*place)
        metrics.duration.labels(*place)
        metrics.interval.labels(*place).set(plan.interval_s)
        for reason in REASONS:
            metrics.failures.labels(*place, reason.value)
        for cause in SKIP_CAUSES:
            metrics.skipped.labels(*place, cause)
        for direction in DIRECTIONS:
            metrics.retransmits.labels(*place, direction)
        if _chats(plan):
            self._declare_chat(place)
        if plan.probe.needs_messenger:
            metrics.first_reply.labels(*place)
        if _has_cells(plan):
            for cell in _cells(plan):
                metrics.scope_checks.labels(*cell)
                for kind in ("leak", "rejected"):
                    metrics.scope_violations.labels(*cell, kind)

    def _declare_chat(self, place: Labels) -> None:
        metrics = self._metrics
        for histogram in (metrics.first_event, metrics.first_token, metrics.first_reasoning, metrics.gap):
            histogram.labels(*place)
        for event in EVENT_TYPES:
            metrics.events.labels(*place, event)
        for direction in ("input", "output"):
            metrics.tokens.labels(*place, direction)

    def _declare_leaks(self, place: Labels, resources: Iterable[str]) -> None:
        metrics = self._metrics
        for resource in resources:
            metrics.cleanup_failures.labels(*place, resource)
            metrics.leaked.labels(*place, resource)

    def _forget(self, place: Labels) -> None:
        labels = dict(zip(("target", "probe"), place, strict=True))
        for metric in self._metrics.by_probe:
            metric.remove_by_labels(labels)
        for leak in [leak for leak in self._metrics.leaks if leak[:2] == place]:
            del self._metrics.leaks[leak]


def _chats(plan: Plan) -> bool:
    """Whether it asks over HTTP; a question in the messenger has neither a stream nor a session to remove."""
    return plan.probe.costs_tokens and not plan.probe.needs_messenger


def _has_cells(plan: Plan) -> bool:
    return plan.probe.name == "scopes" and plan.schedule


def _cells(plan: Plan) -> Iterable[Labels]:
    """The key x endpoint matrix of a target, as far as the config states the scopes of its keys."""
    for key in plan.target.keys.values():
        for row in MATRIX:
            if key.scopes is not None:
                expected = "allowed" if allows(key.scopes, row.endpoint) else "denied"
                yield plan.target.name, key.name, row.endpoint.name, expected


def _has_tls(target: Target) -> bool:
    return target.url.lower().startswith("https:")


def _connects_with_tls(plan: Plan) -> bool:
    """A messenger's adapter has an address of its own."""
    messenger = plan.target.messenger
    if plan.probe.needs_messenger and messenger is not None:
        return messenger.url.lower().startswith("wss:")
    return _has_tls(plan.target)


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
        if not plan.is_scheduled:
            continue
        place, asks = plan.place, _chats(plan)
        for gauge in (metrics.success, metrics.last_run, metrics.network_rtt):
            gauge.labels(*place)
        metrics.last_run_info.labels(*place, "ok")
        for gauge in (metrics.max_stall, metrics.server_ttft) if asks else ():
            gauge.labels(*place)
        for phase in PHASES if asks else CONNECTING:
            if phase != "tls" or _connects_with_tls(plan):
                metrics.phase.labels(*place, phase)
    for target in {plan.target.name: plan.target for plan in plans if plan.missing is None}.values():
        if target.budget.tokens_per_day is not None:
            metrics.budget.labels(target.name)
        metrics.outdated.labels(target.name)
        metrics.started.labels(target.name)
        if _has_tls(target):
            metrics.cert_expiry.labels(target.name)
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
