"""Plan -> run: deadline, cleanup that always happens, one verdict. One run at a time per target and probe."""

import asyncio
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import httpx

from astrometer.api.outcome import Outcome
from astrometer.config import Config, ConfigError, Target
from astrometer.probing.files import Probe
from astrometer.probing.identity import Memory
from astrometer.probing.probe import Context, Limits
from astrometer.probing.verdict import NotApplicable, Own, ProbeFailed, Run, Verdict

# The chat's own deadline comes first and knows better what was missing; this is for a probe that hangs.
GRACE_S = 0.5
# For the same reason an answer waits this much longer than the run that it started; a scrape leaves more.
ANSWER_GRACE_S = 0.2
Finished = Callable[[Run], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One probe against one target, with what its config says."""

    target: Target
    probe: Probe
    limits: Limits = field(default_factory=Limits)
    interval_s: float = 60.0
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def missing_scope(self) -> str | None:
        """A scope that the probe needs and no key of the target has."""
        return next((scope for scope in self.probe.scopes if self.target.key_for(scope) is None), None)


def make_plans(config: Config, probes: Mapping[str, Probe]) -> list[Plan]:
    """Every enabled probe against every target it is meant for. Raises ConfigError."""
    for name in config.probes:
        if name not in probes:
            raise ConfigError(
                f"{config.source}: probes.{name}: no such probe (there are: {', '.join(probes)})"
            )
    plans = []
    for target in config.targets.values():
        for name, probe in probes.items():
            settings = config.probe(name)
            if not settings.enabled or (settings.targets is not None and target.name not in settings.targets):
                continue
            limits = Limits(
                total_s=settings.timeout_s,
                connect_s=settings.connect_s,
                first_token_s=settings.first_token_s or settings.timeout_s,
                idle_s=settings.idle_s,
            )
            plans.append(
                Plan(
                    target=target,
                    probe=probe,
                    limits=limits,
                    interval_s=settings.interval_s or probe.interval_s,
                    options=settings.options,
                )
            )
    return plans


@dataclass(slots=True)
class _Flight:
    """A run in flight: `decided` comes before the cleanup, `task` ends after it."""

    decided: asyncio.Future[Run]
    task: asyncio.Task[Run] = field(init=False)
    awaited: bool = False  # somebody gets the whole run from `Runner.run`


class Runner:
    """Runs plans. Remembers who each key is, and which runs are in flight."""

    def __init__(
        self,
        *,
        memory: Memory | None = None,
        http: Callable[[], httpx.AsyncBaseTransport] | None = None,
    ) -> None:
        self._http = http
        self._memory = memory or Memory()
        self._flying: dict[tuple[str, str], _Flight] = {}
        self._cut = asyncio.Event()

    @property
    def in_flight(self) -> int:
        return len(self._flying)

    @property
    def tasks(self) -> list[asyncio.Task[Run]]:
        """The runs in flight, each until its cleanup is over."""
        return [flight.task for flight in self._flying.values()]

    def is_running(self, plan: Plan) -> bool:
        return (plan.target.name, plan.probe.name) in self._flying

    def cut(self) -> None:
        """Give up all runs, now and later; their cleanup still happens."""
        self._cut.set()

    async def run(self, plan: Plan, total_s: float | None = None) -> Run:
        """Run `plan` once, or join the run of it that is in flight. `total_s` may only lower its deadline.

        Returns after the cleanup. Does not raise for a probe that fails. A caller that is cancelled does not
        cancel the run.
        """
        flight = self._flying.get((plan.target.name, plan.probe.name)) or self._start(plan, total_s)
        flight.awaited = True
        return await asyncio.shield(flight.task)

    async def answer(self, plan: Plan, limit_s: float | None = None, finished: Finished | None = None) -> Run:
        """Like `run`, for a caller that cannot wait: the verdict once it is decided, the cleanup goes on.

        After `limit_s` without one, whoever started the run, the answer is `timeout_total`. `finished` gets
        the whole run that was started here, after its cleanup, unless a caller of `run` joined it.
        """
        asked_at, asked = time.time(), perf_counter()
        patience_s = limit_s
        flight = self._flying.get((plan.target.name, plan.probe.name))
        if flight is None:
            flight = self._start(plan, limit_s, finished)
            patience_s = None if limit_s is None else limit_s + ANSWER_GRACE_S
        waiting: set[asyncio.Future[Run]] = {flight.decided, flight.task}
        await asyncio.wait(waiting, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
        if flight.decided.done():
            return flight.decided.result()
        if flight.task.done():
            return flight.task.result()
        return Run(
            target=plan.target.name,
            probe=plan.probe.name,
            verdict=Verdict.failed(Outcome.TIMEOUT_TOTAL, f"no verdict in {limit_s:g} s; the run goes on"),
            started_at=asked_at,
            duration_s=perf_counter() - asked,
        )

    def _start(self, plan: Plan, total_s: float | None, finished: Finished | None = None) -> _Flight:
        place = (plan.target.name, plan.probe.name)
        if total_s is not None and total_s < plan.limits.total_s:
            plan = replace(plan, limits=replace(plan.limits, total_s=total_s))
        flight = _Flight(asyncio.get_running_loop().create_future())

        async def fly() -> Run:
            run = await self._run(plan, flight.decided.set_result)
            if finished is not None and not flight.awaited:
                finished(run)
            return run

        flight.task = asyncio.create_task(fly(), name=f"probe {place}")
        self._flying[place] = flight
        flight.task.add_done_callback(lambda _: self._flying.pop(place, None))
        return flight

    async def _run(self, plan: Plan, decided: Finished) -> Run:
        started_at = time.time()
        started = perf_counter()
        context = Context(
            target=plan.target,
            probe=plan.probe.name,
            limits=plan.limits,
            options=plan.options,
            memory=self._memory,
            http=self._http() if self._http else None,
        )
        try:
            verdict, note = await self._ask(plan, context)
            duration_s = perf_counter() - started - context.aside_s

            def so_far(failed: list[str]) -> Run:
                return _report(context, verdict, note, failed, started_at=started_at, duration_s=duration_s)

            decided(so_far([]))
            failed = await self._clean(context)
        finally:
            await context.close()
        return so_far(failed)

    async def _ask(self, plan: Plan, context: Context) -> tuple[Verdict | None, str]:
        """The probe's verdict; None and why when it does not apply."""
        missing = plan.missing_scope
        if missing is not None:
            return None, f"no key of target {plan.target.name} has the scope {missing}"
        question = asyncio.ensure_future(plan.probe.function(context))
        cut = asyncio.create_task(self._cut.wait())
        try:
            limit_s = plan.limits.total_s + GRACE_S
            await asyncio.wait({question, cut}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            if not question.done():
                outcome = Outcome.CLIENT_CANCEL if cut.done() else Outcome.TIMEOUT_TOTAL
                question.cancel()
                await asyncio.wait({question}, timeout=GRACE_S)
                return Verdict.failed(outcome, f"given up after {plan.limits.total_s:g} s"), ""
            return self._verdict(question, context), ""
        except NotApplicable as exc:
            return None, str(exc)
        except ProbeFailed as exc:
            return exc.verdict, ""
        finally:
            cut.cancel()
            question.cancel()

    def _verdict(self, question: "asyncio.Future[Verdict]", context: Context) -> Verdict:
        try:
            verdict = question.result()
        except (NotApplicable, ProbeFailed):
            raise
        except Exception as exc:  # noqa: BLE001 (a probe file may raise anything; the exporter outlives it)
            where = traceback.extract_tb(exc.__traceback__)[-1]
            # The exception's own text may hold anything, so only the debug log gets it, masked.
            context.log("".join(traceback.format_exception_only(exc)).strip())
            place = f"{where.filename.rsplit('/', 1)[-1]}:{where.lineno}"
            return Verdict.failed(Own.INTERNAL, f"{type(exc).__name__} at {place}")
        if not isinstance(verdict, Verdict):
            return Verdict.failed(Own.INTERNAL, f"the probe returned {type(verdict).__name__}, not a Verdict")
        return verdict

    async def _clean(self, context: Context) -> list[str]:
        """Run every cleanup, last made first. Returns the kinds of what is still there."""
        context.grant_cleanup_time()
        failed = []
        while context.cleanups:
            item = context.cleanups.pop()
            try:
                async with asyncio.timeout(context.left_s):
                    gone = await item.delete()
            except Exception as exc:  # noqa: BLE001 (one cleanup must not keep the others from running)
                context.log(f"cleanup of {item.resource}: {type(exc).__name__}")
                gone = False
            if not gone:
                failed.append(item.resource)
        return failed


def _report(
    context: Context,
    verdict: Verdict | None,
    note: str,
    failed: list[str],
    *,
    started_at: float,
    duration_s: float,
) -> Run:
    """What is known of a run; `failed` are the kinds of what its cleanup could not remove."""
    if failed and verdict is not None and verdict.ok:
        verdict = Verdict.failed(Own.CLEANUP, f"not removed: {', '.join(failed)}")
    record = context.record
    return Run(
        target=context.target.name,
        probe=context.probe,
        verdict=replace(verdict, detail=context.mask(verdict.detail)) if verdict else None,
        started_at=started_at,
        duration_s=duration_s,
        turns=tuple(record.turns),
        calls=tuple(record.calls),
        phases=dict(record.phases),
        scope_checks=tuple(record.scope_checks),
        cleanup_failures=tuple(failed),
        stays=tuple(record.stays),
        note="; ".join([*([note] if note else []), *record.notes]),
        log=tuple(record.log),
    )


async def run_once(runner: Runner, plans: Iterable[Plan], *, per_target: int = 1) -> list[Run]:
    """Every plan once, in order: targets side by side, `per_target` probes of a target at a time."""
    plans = list(plans)
    gates = {plan.target.name: asyncio.Semaphore(per_target) for plan in plans}

    async def one(plan: Plan) -> Run:
        async with gates[plan.target.name]:
            return await runner.run(plan)

    return list(await asyncio.gather(*(one(plan) for plan in plans)))
