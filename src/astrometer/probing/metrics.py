"""Runs -> Prometheus series. Every metric name of the exporter is here and nowhere else.

Labels are bounded: names out of the config, the closed list of reasons, the known event types. A gauge of the
last run is absent when the run did not get that far: missing is not zero.
"""

import platform
import time
from collections import defaultdict
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from astrometer import __version__
from astrometer.api.endpoints import Endpoint
from astrometer.api.events import KNOWN_TYPES
from astrometer.measure.buckets import DURATION_BUCKETS_S, GAP_BUCKETS_S, TTFT_BUCKETS_S
from astrometer.probing.runner import Plan
from astrometer.probing.scopes import MATRIX, allows
from astrometer.probing.verdict import REASONS, Run

PHASES = ("resolve", "connect", "tls", "headers", "first_event", "first_token", "generation", "tail")
SKIP_CAUSES = ("budget", "overlap", "schedule")
RESOURCES = ("session", "upload")
EVENT_TYPES = (*sorted(KNOWN_TYPES), "other")
BY_PROBE = ("target", "probe")
BY_CELL = ("target", "key", "endpoint", "expected")


class ProbeMetrics:
    """The metrics of probing. `declare` makes a plan's series exist at 0, `record` adds a run."""

    def __init__(self, registry: CollectorRegistry) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        p = "astrbot_probe_"
        self.runs = Counter(f"{p}runs_total", "Runs finished.", BY_PROBE, registry=registry)
        self.failures = Counter(
            f"{p}failures_total", "Failed runs by first cause.", (*BY_PROBE, "reason"), registry=registry
        )
        self.success = Gauge(
            f"{p}success", "1 if the last run passed; absent before the first.", BY_PROBE, registry=registry
        )
        self.duration = Histogram(
            f"{p}duration_seconds",
            "Request start to stream end; without preparations and cleanup.",
            BY_PROBE,
            buckets=DURATION_BUCKETS_S,
            registry=registry,
        )
        self.phase = Gauge(
            f"{p}phase_duration_seconds",
            "Phases of the last run's question; absent if not reached.",
            (*BY_PROBE, "phase"),
            registry=registry,
        )
        self.first_event = _ttft(registry, "event", "Send to the first SSE data event.")
        self.first_token = _ttft(registry, "token", "Send to the first model output of turns that went well.")
        self.first_reasoning = _ttft(registry, "reasoning", "Send to the first reasoning text.")
        self.gap = Histogram(
            f"{p}inter_chunk_gap_seconds",
            "Gaps between the answer chunks of turns that went well.",
            BY_PROBE,
            buckets=GAP_BUCKETS_S,
            registry=registry,
        )
        self.max_stall = Gauge(
            f"{p}max_stall_seconds", "Longest gap of the last run.", BY_PROBE, registry=registry
        )
        self.server_ttft = Gauge(
            f"{p}server_time_to_first_token_seconds",
            "Time to first token of the last run as the server reports it.",
            BY_PROBE,
            registry=registry,
        )
        self.events = Counter(
            f"{p}stream_events_total", "Stream events by known type.", (*BY_PROBE, "event"), registry=registry
        )
        self.tokens = Counter(
            f"{p}tokens_total", "Tokens the server reported.", (*BY_PROBE, "direction"), registry=registry
        )
        self.skipped = Counter(
            f"{p}skipped_total", "Runs that did not start.", (*BY_PROBE, "cause"), registry=registry
        )
        self.scope_checks = Counter(
            f"{p}scope_checks_total", "Scope checks made.", BY_CELL, registry=registry
        )
        self.scope_violations = Counter(
            f"{p}scope_violations_total",
            "Keys that reach what they must not (leak) or are kept from what they may (rejected).",
            (*BY_CELL, "kind"),
            registry=registry,
        )
        self.cleanup_failures = Counter(
            f"{p}cleanup_failures_total", "Deletions that failed.", (*BY_PROBE, "resource"), registry=registry
        )
        self.leaked = Gauge(
            f"{p}leaked_resources",
            "Made since the start and still on the server.",
            (*BY_PROBE, "resource"),
            registry=registry,
        )
        self.last_run = Gauge(
            f"{p}last_run_timestamp_seconds", "When the last run ended.", BY_PROBE, registry=registry
        )
        self.interval = Gauge(f"{p}interval_seconds", "Seconds between runs.", BY_PROBE, registry=registry)
        self._leaks: dict[tuple[str, str, str], int] = defaultdict(int)

    def declare(self, plans: Iterable[Plan]) -> None:
        """Make every counter and histogram exist at 0. Gauges of a last run are absent until there is one."""
        for plan in plans:
            place = (plan.target.name, plan.probe.name)
            self.runs.labels(*place)
            self.duration.labels(*place)
            self.interval.labels(*place).set(plan.interval_s)
            for reason in REASONS:
                self.failures.labels(*place, reason.value)
            for cause in SKIP_CAUSES:
                self.skipped.labels(*place, cause)
            if plan.probe.costs_tokens:
                self._declare_chat(place)
            if plan.probe.name == "scopes":
                self._declare_scopes(plan)

    def _declare_chat(self, place: tuple[str, str]) -> None:
        for histogram in (self.first_event, self.first_token, self.first_reasoning, self.gap):
            histogram.labels(*place)
        for event in EVENT_TYPES:
            self.events.labels(*place, event)
        for direction in ("input", "output"):
            self.tokens.labels(*place, direction)
        for resource in RESOURCES:
            self.cleanup_failures.labels(*place, resource)
            self.leaked.labels(*place, resource).set(0)

    def _declare_scopes(self, plan: Plan) -> None:
        for key in plan.target.keys.values():
            for row in MATRIX:
                if key.scopes is None:
                    continue
                cell = _cell(plan.target.name, key.name, key.scopes, row.endpoint)
                self.scope_checks.labels(*cell)
                for kind in ("leak", "rejected"):
                    self.scope_violations.labels(*cell, kind)

    def record(self, run: Run) -> None:
        """Add one finished run. A probe that did not apply leaves no trace."""
        if run.verdict is None:
            return
        place = (run.target, run.probe)
        self.runs.labels(*place).inc()
        self.success.labels(*place).set(1 if run.ok else 0)
        if not run.ok:
            self.failures.labels(*place, run.reason).inc()
        self.duration.labels(*place).observe(run.duration_s)
        self.last_run.labels(*place).set(run.started_at + run.duration_s)
        for phase in PHASES:
            _set(self.phase, (*place, phase), run.phases.get(phase))
        self._record_turns(run, place)
        for check in run.scope_checks:
            cell = (run.target, check.key, check.endpoint, check.expected)
            self.scope_checks.labels(*cell).inc()
            if check.violation:
                self.scope_violations.labels(*cell, check.violation).inc()
        self.record_leaks(run)

    def skip(self, plan: Plan, cause: str) -> None:
        """A run that was due and did not start."""
        self.skipped.labels(plan.target.name, plan.probe.name, cause).inc()

    def _record_turns(self, run: Run, place: tuple[str, str]) -> None:
        for turn in run.turns:
            times = turn.timings
            if times.accept_time_s is not None:
                self.first_event.labels(*place).observe(times.accept_time_s)
            # A failure's sentence streams like an answer: only a good turn's first token is the model's.
            if turn.outcome.is_ok and times.ttft_s is not None:
                self.first_token.labels(*place).observe(times.ttft_s)
                if turn.reasoning and times.t_text1 != times.t_token1:
                    self.first_reasoning.labels(*place).observe(times.ttft_s)
            if turn.outcome.is_ok:
                for gap_s in times.chunk_gaps_s:
                    self.gap.labels(*place).observe(gap_s)
            for event, count in turn.events.items():
                known = event if event in KNOWN_TYPES else "other"
                self.events.labels(*place, known).inc(count)
            self.tokens.labels(*place, "input").inc(turn.input_tokens)
            self.tokens.labels(*place, "output").inc(turn.output_tokens)
        if run.turns:
            last = run.turns[-1].timings
            _set(self.max_stall, place, last.max_gap_s)
            _set(self.server_ttft, place, last.server_ttft_s)

    def record_leaks(self, run: Run) -> None:
        """Only what `run` left on the server: for a run that is nobody's sample."""
        place = (run.target, run.probe)
        for resource in run.cleanup_failures:
            self.cleanup_failures.labels(*place, resource).inc()
            self._leaks[(*place, resource)] += 1
        for resource in run.stays:
            self._leaks[(*place, resource)] += 1
        for labels, count in self._leaks.items():
            self.leaked.labels(*labels).set(count)


class SelfMetrics:
    """The exporter about itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        p = "astrbot_probe_exporter_"
        info = Gauge(f"{p}build_info", "Always 1.", ("version", "python"), registry=registry)
        info.labels(__version__, platform.python_version()).set(1)
        loaded = Gauge(
            f"{p}config_last_reload_successful",
            "1 if the config in force is the last one read.",
            registry=registry,
        )
        loaded.set(1)
        loaded_at = Gauge(
            f"{p}config_last_reload_success_timestamp_seconds",
            "When a config was last read.",
            registry=registry,
        )
        loaded_at.set(time.time())
        self.in_flight = Gauge(f"{p}runs_in_flight", "Runs that are going on.", registry=registry)
        self.loop_lag = Gauge(
            f"{p}event_loop_lag_seconds", "Worst lateness of a timer in the last 15 s.", registry=registry
        )


def _ttft(registry: CollectorRegistry, what: str, help_text: str) -> Histogram:
    return Histogram(
        f"astrbot_probe_time_to_first_{what}_seconds",
        help_text,
        BY_PROBE,
        buckets=TTFT_BUCKETS_S,
        registry=registry,
    )


def _cell(target: str, key: str, scopes: frozenset[str], endpoint: Endpoint) -> tuple[str, str, str, str]:
    return target, key, endpoint.name, "allowed" if allows(scopes, endpoint) else "denied"


def _set(gauge: Gauge, labels: tuple[str, ...], value: float | None) -> None:
    """Set, or take the series away: a value of an earlier run must not stay."""
    if value is not None:
        gauge.labels(*labels).set(value)
    else:
        try:
            gauge.remove(*labels)
        except KeyError:
            return
