"""Plans and their runs -> an HTTP app: `/metrics` from the schedule, `/probe` on demand, pages for people.

Also the schedule's book: what happened, as metrics and history.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from astrometer.config.settings import Config
from astrometer.probing.exporter import config_page
from astrometer.probing.exporter.access import AccessCheck, WebAccess
from astrometer.probing.exporter.exposition import Encoded
from astrometer.probing.exporter.kept_runs import KeptRuns, debug_text, history_page
from astrometer.probing.exporter.metrics import ProbeMetrics, SelfMetrics
from astrometer.probing.exporter.on_demand import OnDemand, one_run_registry, scrape_limit_s
from astrometer.probing.exporter.series import Series
from astrometer.probing.notify.notifier import Notifier
from astrometer.probing.plan import Plan
from astrometer.probing.runner import DEADLINES, Runner
from astrometer.probing.status.layer_evidence import blamers_of
from astrometer.probing.status.state_by_layer import StateBook
from astrometer.probing.status.state_history import StateHistory
from astrometer.probing.status.status_page import landing_page, public_page
from astrometer.probing.status.status_view import StatusOfTarget, status_of
from astrometer.probing.verdict import ProbeRun

LAG_EVERY_S = 0.5
MOST_DIGITS = 18  # of a run's number in a URL
BUDGET_EVERY = 20  # looks at the loop's lag
NO_CACHE = {"Cache-Control": "no-store"}
# Reads the config again and takes it: whether that went well, and what to say about it.
Reload = Callable[[], tuple[bool, str]]


class Exporter:
    def __init__(
        self,
        config: Config,
        plans: Iterable[Plan],
        runner: Runner | None = None,
        guard: WebAccess | None = None,
        *,
        notifier: Notifier | None = None,
        past: StateHistory | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self.runner = runner or Runner()
        self.registry = CollectorRegistry()
        self.metrics = ProbeMetrics(self.registry, config.exporter.buckets)
        self.series = Series(self.metrics)
        self.own = SelfMetrics(self.registry)
        ProcessCollector(registry=self.registry)
        self._encoded = Encoded(self.registry)
        self._in_flight = 0
        self._outdated_since: dict[str, float] = {}  # by target
        self.history = KeptRuns()
        self.states = StateBook()
        self.notifier = notifier or Notifier(config.notify, clock=clock)
        self.past = past or StateHistory(clock=clock)
        self.on_demand = OnDemand(self.runner, config.exporter)
        self.reload: Reload | None = None
        self.ready = False
        self.stopping = False
        self.config = config
        self.plans: dict[tuple[str, str], Plan] = {}
        self.take(config, plans)
        routes = [
            Route("/", self._landing),
            Route("/status", self._status),
            Route("/metrics", self._metrics),
            Route("/probe", self._probe),
            Route("/history", self._history),
            Route("/history/{number}", self._log),
            Route("/config", self._config),
            Route("/-/healthy", self._healthy),
            Route("/-/ready", self._ready),
            Route("/-/reload", self._reload, methods=["POST"]),
        ]
        self.guard = guard or WebAccess()
        self.app = AccessCheck(Starlette(routes=routes), self.guard)

    def take(self, config: Config, plans: Iterable[Plan]) -> None:
        """The settings from now on. What did not change keeps its series, its history and its last result."""
        before = self.plans
        self.plans = {plan.place: plan for plan in plans}
        self.config = config
        self._blamers = blamers_of(self.plans.values())
        self.on_demand.settings = config.exporter
        for place, plan in before.items():
            same = self.plans.get(place)
            if same is None or (same.target, same.options) != (plan.target, plan.options):
                self.on_demand.forget(*place)
        for target in {plan.target.name: plan.target for plan in before.values()}.values():
            if config.targets.get(target.name) != target:
                self.runner.forget(target)
        self.series.declare(self.plans.values())
        self.history.keep_only(self.plans)
        self.states.keep(self.plans.values(), self._clock())
        self.notifier.take(config.notify)
        self._refresh()

    def finished(self, run: ProbeRun) -> None:
        """A run of the schedule. Of a plan that is asked on demand only by now, just the leaks count."""
        plan = self._plan_of(run)
        if plan is None:
            return
        if plan.schedule:
            self.metrics.observe(run)
        else:
            self.metrics.observe_leaks(run)
        self.states.add(run)
        self.past.add(run, plan)
        self._remember(plan, run)

    def finished_on_demand(self, run: ProbeRun) -> None:
        """A run that `/probe` answered before its cleanup: its series are the scraper's, its leaks ours."""
        plan = self._plan_of(run)
        if plan is not None:
            self.metrics.observe_leaks(run)
            if run.verdict is None or run.verdict.reason not in DEADLINES:  # the scrape's may be lower
                self.states.add(run)
                self.past.add(run, plan)
            self._remember(plan, run)

    def skip(self, plan: Plan, cause: str) -> None:
        now = self.plans.get(plan.place)
        if now is not None and now.is_scheduled:
            self.metrics.skip(plan, cause)
            self.states.skip(plan, cause, self._clock())
            self._encoded.stale()

    async def watch_loop(self) -> None:
        """Keep the gauge of the event loop's lateness, the states, and the budgets at a day's end."""
        loop = asyncio.get_running_loop()
        lags: deque[float] = deque(maxlen=int(15 / LAG_EVERY_S))
        for turn in iter(int, 1):
            due = loop.time() + LAG_EVERY_S
            await asyncio.sleep(LAG_EVERY_S)
            lags.append(max(0.0, loop.time() - due))
            self.own.loop_lag.set(max(lags))
            if turn % BUDGET_EVERY == 0:
                self._refresh()

    def _plan_of(self, run: ProbeRun) -> Plan | None:
        """The plan in force; None when a reload took it away, or gave its name to another server."""
        plan = self.plans.get((run.target, run.probe))
        return plan if plan is not None and plan.target.url == run.url and not plan.missing else None

    def _remember(self, plan: Plan, run: ProbeRun) -> None:
        if run.verdict is not None:
            self.history.add(run)
            self.notifier.ttft_s = run.ttft_s or self.notifier.ttft_s
            if plan.has_price:
                self.on_demand.remember(run)
        self._refresh()

    def _refresh(self) -> None:
        for target in {plan.target.name: plan.target for plan in self.plans.values()}.values():
            self.metrics.set_budget(target.name, self.runner.ledger.tokens_left(target))
            told = self.runner.versions_of(target)
            outdated = None if told is None or told.on_disk is None else told.is_outdated
            self.metrics.set_outdated(target.name, outdated)
            if told is not None:
                self.metrics.set_version(target.name, told.running)
            if not outdated:
                self._outdated_since.pop(target.name, None)
            else:
                self._outdated_since.setdefault(target.name, self._clock())
        states = {
            name: replace(state, outdated_since=self._outdated_since.get(name))
            for name, state in self.states.states(self._clock()).items()
        }
        self.metrics.set_states(states)
        self.past.note(states)
        self.notifier.look(states, self.history.detail_of, self._blamers)
        self.own.set_notified(
            {name: (post.delivery, len(post.waiting)) for name, post in self.notifier.posts.items()}
        )
        self._encoded.stale()

    def _targets(self) -> list[StatusOfTarget]:
        now = self._clock()
        targets = {plan.target.name: plan.target for plan in self.plans.values()}.values()
        versions = {target.name: self.runner.versions_of(target) for target in targets}
        return status_of(self.states.states(now), self.past, versions, now)

    async def _landing(self, _request: Request) -> Response:
        posts = self.notifier.posts.values()
        page = landing_page(
            self.config,
            self.plans.values(),
            self.history.last,
            self._targets(),
            posts,
            problem=self.past.problem,
        )
        return HTMLResponse(page, headers=NO_CACHE)

    async def _status(self, _request: Request) -> Response:
        return HTMLResponse(public_page(self._targets(), self._clock()), headers=NO_CACHE)

    async def _metrics(self, request: Request) -> Response:
        if self._in_flight != self.runner.in_flight:
            self._in_flight = self.runner.in_flight
            self.own.in_flight.set(self._in_flight)
            self._encoded.stale()
        body, content_type = self._encoded.get(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type, **NO_CACHE})

    async def _probe(self, request: Request) -> Response:
        """One run into a fresh registry. A failed probe answers 200: the scrape went well.

        Answers before the cleanup, which a server that hangs delays beyond every scrape timeout; the debug
        page, which people read, waits for it.
        """
        if self.stopping:
            return PlainTextResponse("stopping\n", 503)
        target, probe = request.query_params.get("target"), request.query_params.get("probe")
        if not target or not probe:
            return PlainTextResponse("say which: /probe?target=NAME&probe=NAME\n", 400)
        plan = self.plans.get((target, probe))
        if plan is None:
            # Never a URL out of a request: a key goes to its configured target only.
            return PlainTextResponse("no such target and probe in the config\n", 400)
        try:
            limit_s = scrape_limit_s(request.headers.get("x-prometheus-scrape-timeout-seconds"))
        except ValueError:
            return PlainTextResponse("X-Prometheus-Scrape-Timeout-Seconds is not a number of seconds\n", 400)
        debug = request.query_params.get("debug") == "true"
        answer = await self.on_demand.answer(plan, limit_s, self.finished_on_demand, whole=debug)
        if answer.run.verdict is None and answer.run.skipped is None:
            return PlainTextResponse(f"{answer.run.note}\n", 400)
        headers = dict(NO_CACHE)
        if answer.cached:
            started = datetime.fromtimestamp(answer.run.started_at, UTC)
            headers["X-Astrometer-Cached-From"] = started.isoformat(timespec="milliseconds")
        registry = one_run_registry(plan, answer, limit_s, self.config.exporter)
        if debug:
            settings = config_page.of_plan(plan, self.config)
            metrics = generate_latest(registry).decode()
            return PlainTextResponse(
                debug_text(answer.run, metrics, settings, cached=answer.cached), headers=headers
            )
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": content_type, **headers})

    async def _history(self, request: Request) -> Response:
        wanted = request.query_params
        target, probe = wanted.get("target") or None, wanted.get("probe") or None
        failed = wanted.get("failed") == "true"
        runs = self.history.newest_first(target=target, probe=probe, failed=failed)
        return HTMLResponse(history_page(runs, target, probe, failed=failed), headers=NO_CACHE)

    async def _log(self, request: Request) -> Response:
        number = request.path_params["number"]
        is_number = number.isascii() and number.isdigit() and len(number) <= MOST_DIGITS
        text = self.history.log_of(int(number)) if is_number else None
        if text is None:
            return PlainTextResponse("not kept any more\n", 404)
        return PlainTextResponse(text, headers=NO_CACHE)

    async def _config(self, _request: Request) -> Response:
        return PlainTextResponse(config_page.whole(self.config, self.plans.values()), headers=NO_CACHE)

    async def _healthy(self, _request: Request) -> Response:
        return PlainTextResponse("Healthy\n")

    async def _ready(self, _request: Request) -> Response:
        return PlainTextResponse("Ready\n") if self.ready else PlainTextResponse("Not ready\n", 503)

    async def _reload(self, _request: Request) -> Response:
        if self.reload is None or self.stopping:
            return PlainTextResponse("cannot reload now\n", 503)
        fine, said = self.reload()
        return PlainTextResponse(f"{said}\n", 200 if fine else 500)
