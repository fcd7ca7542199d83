"""`/probe` -> one run into a registry of its own, or, where each has its price, the last one's result."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from prometheus_client import CollectorRegistry, Gauge

from astrometer.config.exporter_settings import ExporterSettings
from astrometer.probing.exporter.kept_runs import without_bodies
from astrometer.probing.exporter.metrics import ProbeMetrics
from astrometer.probing.plan import Plan
from astrometer.probing.runner import Runner
from astrometer.probing.verdict import ProbeRun

# Prometheus gives up at its scrape timeout: answer before it.
SCRAPE_OFFSET_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapeAnswer:
    """A run, and whether it is an earlier one's result."""

    run: ProbeRun
    cached: bool = False


class OnDemand:
    """Remembers the last run of each plan that has a price, whoever asked for it."""

    def __init__(
        self, runner: Runner, settings: ExporterSettings, clock: Callable[[], float] = perf_counter
    ) -> None:
        self._runner = runner
        self.settings = settings
        self._clock = clock
        self._last: dict[tuple[str, str], tuple[float, ProbeRun]] = {}

    def remember(self, run: ProbeRun) -> None:
        """A run that is over, of a plan that has a price. It counts from its start, as an interval does."""
        if run.verdict is not None:
            self._last[(run.target, run.probe)] = (self._clock() - run.duration_s, without_bodies(run))

    def forget(self, target: str, probe: str) -> None:
        """A plan that is another now."""
        self._last.pop((target, probe), None)

    async def answer(
        self, plan: Plan, limit_s: float | None, finished: Callable[[ProbeRun], None], *, whole: bool = False
    ) -> ScrapeAnswer:
        """`finished` gets a run that was started here after its cleanup; `whole` waits for that."""
        if plan.has_price and not self._runner.is_running(plan):
            at, run = self._last.get(plan.place, (0.0, None))
            if run is not None and self._clock() - at < self.settings.reuse_s(plan.interval_s):
                return ScrapeAnswer(run=run, cached=True)
        return ScrapeAnswer(run=await self._runner.answer(plan, limit_s, finished, whole=whole))


def one_run_registry(
    plan: Plan, answer: ScrapeAnswer, limit_s: float | None, settings: ExporterSettings
) -> CollectorRegistry:
    """What blackbox_exporter's users know, and the metrics of this run alone.

    A run that did not start is neither a success nor a failure: it has no `probe_success`.
    """
    run, registry = answer.run, CollectorRegistry()
    timeout_s = plan.limits.total_s if limit_s is None else min(limit_s, plan.limits.total_s)
    duration = Gauge("probe_duration_seconds", "How long the probe took.", registry=registry)
    duration.set(run.duration_s)
    Gauge("probe_timeout_seconds", "How long it could have taken.", registry=registry).set(timeout_s)
    if run.skipped is None:
        Gauge("probe_success", "1 if the probe passed.", registry=registry).set(1 if run.ok else 0)
    if plan.has_price:
        cached = Gauge(
            "astrbot_probe_result_cached",
            "1 if this is an earlier run's result; astrbot_probe_last_run_timestamp_seconds says from when.",
            registry=registry,
        )
        cached.set(1 if answer.cached else 0)
    ProbeMetrics(registry, settings.buckets).observe(run)
    return registry


def scrape_limit_s(header: str | None) -> float | None:
    """Seconds that a scrape leaves for the probe; None when the scraper does not say. Raises ValueError."""
    if header is None:
        return None
    seconds = float(header)
    if not 0 < seconds < float("inf"):
        raise ValueError(header)
    return max(0.1, seconds - SCRAPE_OFFSET_S)
