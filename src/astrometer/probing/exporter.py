"""Settings -> a Prometheus exporter: `/metrics` from the schedule, `/probe` on demand, pages for people."""

import asyncio
import signal
import socket
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress

import uvicorn
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, generate_latest
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from astrometer.config import Config
from astrometer.probing.history import History, debug_text
from astrometer.probing.metrics import ProbeMetrics, SelfMetrics
from astrometer.probing.pages import history_page, landing
from astrometer.probing.runner import Plan, Runner
from astrometer.probing.schedule import Schedule
from astrometer.probing.verdict import Run

# Prometheus gives up at its scrape timeout: answer before it.
SCRAPE_OFFSET_S = 0.5
FINISH_S = 5.0
# After the runs are given up: their cleanup has 15 s of its own.
GIVE_UP_S = 17.0
LAG_EVERY_S = 0.5
NO_CACHE = {"Cache-Control": "no-store"}


class ListenError(OSError):
    """The address cannot be listened on."""


class Exporter:
    """The HTTP app and what is behind it. Also the schedule's book: what happened, as metrics and history."""

    def __init__(self, config: Config, plans: Iterable[Plan], runner: Runner | None = None) -> None:
        self.config = config
        self.plans = list(plans)
        self.runner = runner or Runner()
        self.registry = CollectorRegistry()
        self.metrics = ProbeMetrics(self.registry)
        self.metrics.declare(plan for plan in self.plans if plan.missing_scope is None)
        self.own = SelfMetrics(self.registry)
        ProcessCollector(registry=self.registry)
        self.history = History()
        self.ready = False
        self.stopping = False
        self.app = Starlette(
            routes=[
                Route("/", self._landing),
                Route("/metrics", self._metrics),
                Route("/probe", self._probe),
                Route("/history", self._history),
                Route("/-/healthy", self._healthy),
                Route("/-/ready", self._ready),
            ]
        )

    def record(self, run: Run) -> None:
        self.metrics.record(run)
        if run.verdict is not None:
            self.history.add(run)

    def record_on_demand(self, run: Run) -> None:
        """A run that `/probe` answered before its cleanup: its series are the scraper's, its leaks ours."""
        self.metrics.record_leaks(run)
        if run.verdict is not None:
            self.history.add(run)

    def skip(self, plan: Plan, cause: str) -> None:
        self.metrics.skip(plan, cause)

    async def watch_loop(self) -> None:
        """Keep the gauge of the event loop's lateness."""
        loop = asyncio.get_running_loop()
        lags: deque[float] = deque(maxlen=int(15 / LAG_EVERY_S))
        while True:
            due = loop.time() + LAG_EVERY_S
            await asyncio.sleep(LAG_EVERY_S)
            lags.append(max(0.0, loop.time() - due))
            self.own.loop_lag.set(max(lags))

    async def _landing(self, _request: Request) -> Response:
        return HTMLResponse(landing(self.config, self.plans, self.history))

    async def _metrics(self, request: Request) -> Response:
        self.own.in_flight.set(self.runner.in_flight)
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self.registry), headers={"Content-Type": content_type, **NO_CACHE})

    async def _probe(self, request: Request) -> Response:
        """One run into a fresh registry. A failed probe answers 200: the scrape went well.

        Answers before the cleanup: a server that hangs delays it beyond every scrape timeout.
        """
        if self.stopping:
            return PlainTextResponse("stopping\n", 503)
        target, probe = request.query_params.get("target"), request.query_params.get("probe")
        if not target or not probe:
            return PlainTextResponse("say which: /probe?target=NAME&probe=NAME\n", 400)
        plan = next((p for p in self.plans if (p.target.name, p.probe.name) == (target, probe)), None)
        if plan is None:
            # Never a URL out of a request: a key goes to its configured target only.
            return PlainTextResponse("no such target and probe in the config\n", 400)
        try:
            limit_s = scrape_limit_s(request.headers.get("x-prometheus-scrape-timeout-seconds"))
        except ValueError:
            return PlainTextResponse("X-Prometheus-Scrape-Timeout-Seconds is not a number of seconds\n", 400)
        run = await self.runner.answer(plan, limit_s, self.record_on_demand)
        if run.verdict is None:
            return PlainTextResponse(f"{run.note}\n", 400)
        registry = one_run_registry(plan, run, limit_s)
        if request.query_params.get("debug") == "true":
            text = debug_text(run, generate_latest(registry).decode(), self.config)
            return PlainTextResponse(text, headers=NO_CACHE)
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": content_type, **NO_CACHE})

    async def _history(self, _request: Request) -> Response:
        return HTMLResponse(history_page(self.history.newest_first()), headers=NO_CACHE)

    async def _healthy(self, _request: Request) -> Response:
        return PlainTextResponse("Healthy\n")

    async def _ready(self, _request: Request) -> Response:
        return PlainTextResponse("Ready\n") if self.ready else PlainTextResponse("Not ready\n", 503)


def one_run_registry(plan: Plan, run: Run, limit_s: float | None) -> CollectorRegistry:
    """What blackbox_exporter's users know, and the metrics of this run alone."""
    registry = CollectorRegistry()
    timeout_s = plan.limits.total_s if limit_s is None else min(limit_s, plan.limits.total_s)
    Gauge("probe_success", "1 if the probe passed.", registry=registry).set(1 if run.ok else 0)
    duration = Gauge("probe_duration_seconds", "How long the probe took.", registry=registry)
    duration.set(run.duration_s)
    Gauge("probe_timeout_seconds", "How long it could have taken.", registry=registry).set(timeout_s)
    ProbeMetrics(registry).record(run)
    return registry


def scrape_limit_s(header: str | None) -> float | None:
    """Seconds that a scrape leaves for the probe; None when the scraper does not say. Raises ValueError."""
    if header is None:
        return None
    seconds = float(header)
    if not 0 < seconds < float("inf"):
        raise ValueError(header)
    return max(0.1, seconds - SCRAPE_OFFSET_S)


class _Server(uvicorn.Server):
    """uvicorn that leaves the signals to us: it would die of them, and the cleanup with it."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


async def serve(
    config: Config,
    plans: Iterable[Plan],
    *,
    address: str,
    port: int,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Export until SIGTERM or SIGINT; then stop, clean up and return. Raises ListenError."""
    try:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.create_server((address, port), family=family, backlog=512)
    except OSError as exc:
        raise ListenError(f"cannot listen on {address}:{port}: {exc.strerror or exc}") from exc
    exporter = Exporter(config, plans)
    settings = uvicorn.Config(
        exporter.app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=2
    )
    server = _Server(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    schedule = Schedule(exporter.runner, exporter.plans, exporter)
    answering = asyncio.create_task(server.serve(sockets=[listener]))
    lag = asyncio.create_task(exporter.watch_loop())
    schedule.start()
    exporter.ready = True
    bound = listener.getsockname()[1]
    shown = f"[{address}]" if family == socket.AF_INET6 else address
    say(f"astrometer probes on http://{shown}:{bound}/metrics ({len(exporter.plans)} target and probe pairs)")
    try:
        await stop.wait()
    finally:
        exporter.ready = False
        exporter.stopping = True
        say("stopping: finishing runs and cleaning up")
        await schedule.stop(finish_s=FINISH_S, give_up_s=GIVE_UP_S)
        lag.cancel()
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await answering
        listener.close()
