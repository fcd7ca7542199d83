"""The state of a running test -> Prometheus series, rendered at each scrape. Every name of them is here.

Nothing is recorded twice: the classic buckets are cut from the tally's own histograms. Labels are bounded:
the scenarios of the locustfile, the closed list of outcomes and the objectives of the run. The label `run`
keeps the tests of one process apart: each begins at 0 again.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from gevent.pywsgi import WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from astrometer import __version__
from astrometer.api.outcome import Outcome
from astrometer.load.live import verdict_metrics
from astrometer.load.live.live_state import LiveState
from astrometer.load.live.verdict_metrics import PREFIX, gauge
from astrometer.load.turnstile import breathe
from astrometer.measure.server_usage import ServerUsage
from astrometer.measure.slo.validity import GENERATOR_CAUSES, GENERATOR_LIMITS, CauseKind, generator_causes
from astrometer.measure.tally.exchange_stats import Stats
from astrometer.measure.tally.histogram import DURATION_BUCKETS_S, GAP_BUCKETS_S, TTFT_BUCKETS_S, Histogram

# name -> (the tally's metric, buckets, help)
HISTOGRAMS = {
    "time_to_first_token_seconds": ("ttft", TTFT_BUCKETS_S, "Send to first model output"),
    "time_to_first_token_effective_seconds": (
        "ttft_effective",
        TTFT_BUCKETS_S,
        "Intended arrival to first model output",
    ),
    "inter_chunk_gap_seconds": ("chunk_gap", GAP_BUCKETS_S, "Gaps between content events"),
    "end_to_end_seconds": ("e2e", DURATION_BUCKETS_S, "Send to last content event"),
    "end_to_end_effective_seconds": (
        "e2e_effective",
        DURATION_BUCKETS_S,
        "Intended arrival to last content event",
    ),
    "first_reply_seconds": ("reply_first", DURATION_BUCKETS_S, "Messenger: send to the bot's first message"),
    "last_reply_seconds": ("reply_last", DURATION_BUCKETS_S, "Messenger: send to the bot's last message"),
    "queue_wait_seconds": (
        "queue_wait",
        DURATION_BUCKETS_S,
        "Messenger: wait for others in the same chat, where it can be told",
    ),
    "duration_seconds": ("duration", DURATION_BUCKETS_S, "Plain calls: send to the whole answer"),
}
# name -> (the field of a sample, help)
SERVER_GAUGES = {
    "resident_memory_bytes": ("rss_bytes", "Resident memory of the server's process and its children."),
    "threads": ("threads", "Threads of the server's process and its children."),
    "open_files": ("open_files", "Open files and sockets of the server's process and its children."),
    "processes": ("processes", "The server's process and its children."),
    "database_bytes": ("database_bytes", "Size of the server's database file."),
    "wal_bytes": ("wal_bytes", "Size of the write-ahead log of the server's database."),
}
OF_GOOD = "; successful exchanges after the warm-up."


class LoadCollector:
    """What a registry asks at each scrape."""

    def __init__(self, state: LiveState) -> None:
        self._state = state

    def describe(self) -> Iterable[Metric]:
        """Nothing: or registering would already collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily(f"{PREFIX}build_info", "Always 1.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        name = self._state.run_name
        for family in self._families():
            if name is not None:
                named = [sample._replace(labels={**sample.labels, "run": name}) for sample in family.samples]
                family.samples = named
            yield family

    def _families(self) -> Iterator[Metric]:
        scenarios = self._state.scenarios()
        yield from self._info()
        yield from _counters({name: self._state.counts(name) for name in scenarios})
        for name, (metric, bounds, text) in HISTOGRAMS.items():
            family = HistogramMetricFamily(PREFIX + name, text + OF_GOOD, labels=["scenario"])
            for scenario in scenarios:
                found = self._state.histograms(scenario, metric)
                family.add_metric([scenario], *classic(found, bounds))
            yield family
            breathe()
        yield from self._load()
        yield from verdict_metrics.families(self._state)
        yield from _server(self._state.server())
        yield from self._generator()

    def _info(self) -> Iterator[Metric]:
        run = self._state.run
        if run is None:
            return
        info = GaugeMetricFamily(
            f"{PREFIX}run_info",
            "Always 1: what is loaded, and AstrBot's version if known.",
            labels=["scenario", "target", "version"],
        )
        info.add_metric([self._state.name, self._state.host, run.settings.version or ""], 1)
        yield info
        yield gauge("run_start_timestamp_seconds", "When the test began.", run.clock.started_at)
        stopped_at = run.clock.started_at + run.clock.elapsed_s if run.is_over else None
        yield gauge(
            "run_stop_timestamp_seconds",
            "When the test stopped starting exchanges; absent before.",
            stopped_at,
        )
        yield gauge(
            "warmup_seconds", "Length of ramp and warm-up, which are not measured.", run.settings.warmup_s
        )

    def _load(self) -> Iterator[Metric]:
        yield gauge("users", "Simulated users; in an open model they stand for the rate.", self._state.users)
        yield gauge(
            "arrivals_per_second",
            "Open model: the requested rate of arrivals; absent in a closed one.",
            self._state.arrivals_per_s,
        )
        yield gauge(
            "stage_number", "The stage of the shape, from 1; absent without a shape.", self._state.stage()
        )

    def _generator(self) -> Iterator[Metric]:
        health = self._state.generator()
        if health is None:
            return
        p, limits = "generator_", {kind: f"{row.limit:g}" for kind, row in GENERATOR_LIMITS.items()}
        yield gauge(f"{p}processes", "Load processes that have reported.", health.processes)
        yield gauge(
            f"{p}loop_lag_p99_seconds",
            "Event-loop lag of the worst process, p99; without kernel stamps, INVALID above "
            f"{limits[CauseKind.LOOP_LAG]}.",
            health.loop_lag_p99_s,
        )
        yield gauge(
            f"{p}loop_lag_max_seconds", "The longest event-loop lag of the test.", health.loop_lag_max_s
        )
        yield gauge(
            f"{p}cpu_ratio",
            f"CPU of the busiest process in its busiest five seconds; above {limits[CauseKind.CPU]} of a "
            "core the run is INVALID.",
            health.cpu_max,
        )
        yield gauge(
            f"{p}schedule_lag_p99_seconds",
            f"How late exchanges were started, p99 of the test; above {limits[CauseKind.SCHEDULE_LAG]} the "
            "run is INVALID.",
            health.schedule_lag_p99_s,
        )
        yield gauge(
            f"{p}think_time_lost_ratio",
            f"By how much users paused too long between their tasks; above {limits[CauseKind.THINK_TIME]} "
            "the run is INVALID.",
            health.think_time_lost,
        )
        yield gauge(f"{p}lost_workers", "Workers that vanished, known at the end.", health.lost_workers)
        invalid = GaugeMetricFamily(
            f"{PREFIX}generator_invalid", "1 for what makes the run INVALID so far, else 0.", labels=["cause"]
        )
        broken = {cause.kind for cause in generator_causes(health)}
        for kind in GENERATOR_CAUSES:
            invalid.add_metric([kind.value], float(kind in broken))
        yield invalid


def classic(
    histograms: Iterable[Histogram], bounds_s: Sequence[float]
) -> tuple[list[tuple[str, int]], float]:
    """Cumulative counts by upper bound, the last of them infinite, and the sum of the samples.

    Exact to the histograms' three digits.
    """
    counts, n, total_s = [0] * len(bounds_s), 0, 0.0
    for histogram in histograms:
        counts = [a + b for a, b in zip(counts, histogram.cumulative(bounds_s), strict=True)]
        n += histogram.n
        total_s += histogram.sum
        breathe()
    # The bounds as prometheus-client writes them: "5.0".
    labels = [str(float(bound)) for bound in bounds_s]
    return [*zip(labels, counts, strict=True), ("+Inf", n)], total_s


def application(state: LiveState) -> Callable[..., Any]:
    """A WSGI application that answers any path with the metrics."""
    registry = CollectorRegistry()
    registry.register(LoadCollector(state))
    return make_wsgi_app(registry)


def serve(app: Callable[..., Any], host: str, port: int) -> WSGIServer:
    """Serve `/metrics` beside the test, in the same event loop. Raises OSError when the port is taken."""

    def only_metrics(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if environ["PATH_INFO"] == "/metrics":
            return app(environ, start_response)
        start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"See /metrics\n"]

    server = WSGIServer((host, port), only_metrics, log=None)
    server.start()
    return server


def add_route(web_ui: Any, base_path: str, app: Callable[..., Any]) -> None:
    """`/metrics` of Locust's web UI; behind its login where there is one."""
    from flask import Response, request  # noqa: PLC0415 (only where there is a web UI)

    def metrics() -> Any:
        return Response.from_app(app, request.environ)

    web_ui.app.add_url_rule(
        f"{base_path.rstrip('/')}/metrics", "astrometer_metrics", web_ui.auth_required_if_enabled(metrics)
    )


def _counters(by_scenario: dict[str, Stats]) -> Iterator[Metric]:
    started = CounterMetricFamily(
        f"{PREFIX}started", "Exchanges begun: turns and plain calls.", labels=["scenario"]
    )
    turns = CounterMetricFamily(
        f"{PREFIX}turns", "Exchanges ended, by outcome.", labels=["scenario", "outcome"]
    )
    in_flight = GaugeMetricFamily(f"{PREFIX}in_flight", "Exchanges begun and not ended.", labels=["scenario"])
    tokens = CounterMetricFamily(
        f"{PREFIX}tokens", "Tokens that the server reported.", labels=["scenario", "direction"]
    )
    sizes = CounterMetricFamily(
        f"{PREFIX}body_bytes",
        "Bytes in bodies, where the operation counts them.",
        labels=["scenario", "direction"],
    )
    for scenario, stats in by_scenario.items():
        started.add_metric([scenario], stats.started)
        in_flight.add_metric([scenario], stats.started - stats.outcomes.total())
        for outcome in Outcome:
            turns.add_metric([scenario, outcome.value], stats.outcomes[outcome.value])
        for direction in ("input", "output"):
            tokens.add_metric([scenario, direction], stats.tokens[f"{direction}_tokens"])
        for direction in ("sent", "received"):
            sizes.add_metric([scenario, direction], stats.bytes[f"bytes_{direction}"])
    yield from (started, turns, in_flight, tokens, sizes)


def _server(usage: ServerUsage | None) -> Iterator[Metric]:
    """Its process, as it was sampled last; nothing but `up` once it has ended."""
    up = None if usage is None else float(usage.ended is None)
    yield gauge(
        "server_up", "1 while the server's process lives, 0 when it has ended; absent if nobody knows it.", up
    )
    last = usage.last if usage is not None and usage.ended is None else None
    for name, (field, text) in SERVER_GAUGES.items():
        yield gauge(f"server_{name}", text, None if last is None else getattr(last, field))
    cpu = CounterMetricFamily(
        f"{PREFIX}server_cpu_seconds", "CPU of the server's process and its children since it began."
    )
    lines = CounterMetricFamily(
        f"{PREFIX}server_log_lines",
        "Warnings and errors in the server's log since the test began.",
        labels=["level"],
    )
    if last is not None:
        cpu.add_metric([], last.cpu_s)
        for level, count in (("warning", last.log_warnings), ("error", last.log_errors)):
            if count is not None:
                lines.add_metric([level], count)
    yield from (cpu, lines)
