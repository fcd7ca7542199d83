"""Plan -> run: budget, deadline, cleanup that always happens, one verdict. One run at a time per plan."""

import asyncio
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from math import inf
from time import perf_counter

import httpx

from astrometer.api.outcome import Outcome
from astrometer.config.settings import Target
from astrometer.outside_text import shown
from astrometer.probing.budget import Ledger, Refusal
from astrometer.probing.cleanup.identity import Memory, server_of
from astrometer.probing.cleanup.leak_journal import LeakJournal
from astrometer.probing.context import Context
from astrometer.probing.orphans import Orphans
from astrometer.probing.plan import Plan, make_plans
from astrometer.probing.verdict import NotApplicable, ProbeFailed, ProbeReason, ProbeRun, Verdict

__all__ = ["Plan", "Runner", "make_plans", "run_once"]

# The chat's own deadline comes first and knows better what was missing; this is for a probe that hangs.
DETAIL_CHARS = 500
GRACE_S = 0.5
# For the same reason an answer waits this much longer than the run that it started; a scrape leaves more.
ANSWER_GRACE_S = 0.2
# What a deadline that somebody else lowered may have been the cause of.
DEADLINES = frozenset(
    {Outcome.TIMEOUT_CONNECT, Outcome.TIMEOUT_FIRST_TOKEN, Outcome.STALLED, Outcome.TIMEOUT_TOTAL}
)
PACE = "pace"  # why a run was held back: the budget is to last the day
BUSY = "schedule"  # why a run did not start whose turn did not come in time
Finished = Callable[[ProbeRun], None]


@dataclass(slots=True)
class _Flight:
    """A run in flight: `decided` comes before the cleanup, `task` ends after it."""

    plan: Plan
    decided: asyncio.Future[ProbeRun]
    lowered: bool  # by whoever started it: its patience or its deadline is not the plan's
    task: asyncio.Task[ProbeRun] = field(init=False)
    awaited: bool = False  # somebody gets the whole run from `Runner.run`
    waiting: bool = True  # for its turn: as many runs of the target as its config allows are under way
    withdrawn: bool = False  # when its turn comes, it is not wanted any more

    def satisfies(self, run: ProbeRun) -> bool:
        """Whether `run` would have ended like this under the plan's own deadline."""
        cause = run.skipped if run.verdict is None else run.verdict.reason
        return not (self.lowered and (cause in DEADLINES or cause == BUSY))


class Runner:
    """Runs plans. Remembers who each key is, what was spent and left, and which runs are in flight."""

    def __init__(
        self,
        *,
        memory: Memory | None = None,
        ledger: Ledger | None = None,
        journal: LeakJournal | None = None,
        http: Callable[[], httpx.AsyncBaseTransport] | None = None,
    ) -> None:
        self._http = http
        self._memory = memory or Memory()
        self.ledger = ledger or Ledger()
        self.journal = journal if journal is not None else LeakJournal()
        self._memory.instance = self._memory.instance or self.journal.instance
        self.orphans = Orphans(self.journal, self._memory, self.ledger, http)
        self._flying: dict[tuple[str, str, str], _Flight] = {}  # by target, probe and URL
        self._gates: dict[str, tuple[int, asyncio.Semaphore]] = {}  # by target, each with its width
        self._cut = asyncio.Event()

    @property
    def in_flight(self) -> int:
        return sum(not flight.waiting for flight in self._flying.values())

    @property
    def tasks(self) -> list[asyncio.Task[ProbeRun]]:
        """The runs in flight, each until its cleanup is over."""
        return [flight.task for flight in self._flying.values()]

    def is_running(self, plan: Plan) -> bool:
        """Whether a run of it is under way; one that waits for its turn is not yet."""
        flight = self._flying.get(_route(plan))
        return flight is not None and not flight.waiting

    def version_of(self, target: Target) -> str | None:
        """The AstrBot version of a target as far as its answers told."""
        version = self._memory.versions.get(server_of(target))
        return None if version is None else ".".join(map(str, version))

    def forget(self, target: Target) -> None:
        """Its URL or its keys are others now: who they are is to be learnt again."""
        server = server_of(target)
        self._memory.versions.pop(server, None)
        self._memory.asked_version.pop(server, None)
        for place in [place for place in self._memory.identities if place[0] == server]:
            del self._memory.identities[place]

    def withdraw(self, wanted: Callable[[Plan], bool] = lambda _: False) -> None:
        """Runs that still wait for their turn do not start, but for those of plans that are `wanted`."""
        for flight in self._flying.values():
            flight.withdrawn |= not wanted(flight.plan)

    def cut(self) -> None:
        """Give up all runs, now and later; their cleanup still happens."""
        self._cut.set()

    async def run(self, plan: Plan, total_s: float | None = None) -> ProbeRun:
        """Run `plan` once, or join the run of it that is in flight. `total_s` may only lower its deadline.

        No more runs of a target at a time than its config allows: one whose turn does not come within the
        plan's interval, or half of `total_s`, is skipped. What it waited is taken off `total_s`.

        A joined run that met somebody else's lower deadline proves nothing: then it is run again. Returns
        after the cleanup. Does not raise for a probe that fails. A caller that is cancelled does not cancel
        the run.
        """
        while True:
            joined = self._flying.get(_route(plan))
            flight = joined or self._start(plan, total_s)
            flight.awaited = True
            run = await asyncio.shield(flight.task)
            if joined is None or total_s is not None or flight.satisfies(run):
                return run

    async def answer(
        self,
        plan: Plan,
        limit_s: float | None = None,
        finished: Finished | None = None,
        *,
        whole: bool = False,
    ) -> ProbeRun:
        """Like `run`, for a caller that cannot wait: the verdict once it is decided, the cleanup goes on.

        After `limit_s` without one, whoever started the run, the answer is `timeout_total`. `finished` gets
        the whole run that was started here, after its cleanup, unless a caller of `run` joined it. `whole`:
        the caller does wait, until the cleanup is over.
        """
        asked_at, asked = time.time(), perf_counter()
        patience_s = limit_s
        flight = self._flying.get(_route(plan))
        if flight is None:
            flight = self._start(plan, limit_s, finished)
            patience_s = None if limit_s is None else limit_s + ANSWER_GRACE_S
        if whole:
            return await asyncio.shield(flight.task)
        waiting: set[asyncio.Future[ProbeRun]] = {flight.decided, flight.task}
        await asyncio.wait(waiting, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
        if flight.decided.done():
            return flight.decided.result()
        if flight.task.done():
            return flight.task.result()
        if flight.waiting:
            return _skipped(plan, BUSY, f"its turn did not come in {limit_s:g} s")
        return ProbeRun(
            target=plan.target.name,
            url=plan.target.url,
            probe=plan.probe.name,
            verdict=Verdict.failed(Outcome.TIMEOUT_TOTAL, f"no verdict in {limit_s:g} s; the run goes on"),
            started_at=asked_at,
            duration_s=perf_counter() - asked,
        )

    def _start(self, plan: Plan, total_s: float | None, finished: Finished | None = None) -> _Flight:
        flight = _Flight(plan, asyncio.get_running_loop().create_future(), lowered=total_s is not None)

        async def fly() -> ProbeRun:
            try:
                run = await self._run_in_turn(flight, total_s)
                if finished is not None and not (flight.awaited and flight.satisfies(run)):
                    finished(run)
                return run
            finally:
                # Not in a callback of the task, which comes a turn of the loop later: `run` would join what
                # has ended, again and again, and never let that turn come.
                del self._flying[_route(plan)]

        flight.task = asyncio.create_task(fly(), name=f"probe {plan.place}")
        self._flying[_route(plan)] = flight
        return flight

    async def _run_in_turn(self, flight: _Flight, total_s: float | None) -> ProbeRun:
        plan, began = flight.plan, perf_counter()
        patience_s = plan.interval_s if total_s is None else min(plan.interval_s, total_s / 2)
        gate = self._gate(plan.target)
        try:
            async with asyncio.timeout(patience_s):
                await gate.acquire()
        except TimeoutError:
            return _skipped(plan, BUSY, f"{plan.target.concurrency} others ran for {patience_s:g} s")
        try:
            if flight.withdrawn:
                return _skipped(plan, BUSY, "not wanted any more when its turn came")
            flight.waiting = False
            left_s = inf if total_s is None else total_s - (perf_counter() - began)
            flight.lowered = left_s < plan.limits.total_s
            if flight.lowered:
                plan = replace(plan, limits=replace(plan.limits, total_s=left_s))
            return await self._run(plan, flight.decided.set_result)
        finally:
            gate.release()

    def _gate(self, target: Target) -> asyncio.Semaphore:
        """Of the width that the config says now. What another one let in before is not counted by it."""
        width, gate = self._gates.get(target.name, (0, None))
        if gate is None or width != target.concurrency:
            gate = asyncio.Semaphore(target.concurrency)
            self._gates[target.name] = (target.concurrency, gate)
        return gate

    async def _run(self, plan: Plan, decided: Finished) -> ProbeRun:
        started_at, started = time.time(), perf_counter()
        refusal = self._refusal(plan)
        if refusal is not None:
            return _skipped(plan, refusal.cause, refusal.why)
        context = Context(
            target=plan.target,
            probe=plan.probe.name,
            limits=plan.limits,
            options={**plan.probe.options, **plan.options},
            memory=self._memory,
            journal=self.journal,
            ledger=self.ledger,
            http=self._http() if self._http else None,
        )
        try:
            try:
                verdict, note = await self._ask(plan, context)
                duration_s = perf_counter() - started - context.record.aside_s

                def so_far(failed: list[str], swept: list[tuple[str, str]]) -> ProbeRun:
                    run = _report(
                        context, verdict, note, failed, started_at=started_at, duration_s=duration_s
                    )
                    return replace(run, swept=tuple(swept))

                decided(so_far([], []))
            finally:
                context.asks.extend(plan.limits.cleanup_s)
                failed = await self.orphans.clean(context.made)
            try:
                reached = verdict is not None and not so_far([], []).unreachable
                swept = await self.orphans.take_along(context.made) if reached else []
                context.asks.extend(plan.limits.cleanup_s)
                if verdict is not None and verdict.ok and not failed and plan.probe.costs_tokens:
                    await context.made.learn_version()
            finally:
                failed += await self.orphans.clean(context.made)
        finally:
            await context.asks.close()
        return so_far(failed, swept)

    def _refusal(self, plan: Plan) -> Refusal | None:
        """Why the budget forbids this run, which is booked at once when it does not."""
        if not plan.probe.costs_tokens or plan.missing_scope is not None:
            return None
        refusal = self.ledger.refusal(plan.target)
        if refusal is None:
            self.ledger.book(plan.target, runs=1)
        return refusal

    async def _ask(self, plan: Plan, context: Context) -> tuple[Verdict | None, str]:
        """The probe's verdict; None and why when it does not apply."""
        missing = plan.missing_scope
        if missing is not None:
            return None, f"no key of target {plan.target.name} has the scope {missing}"
        question = asyncio.ensure_future(_asked(plan, context))
        cut = asyncio.create_task(self._cut.wait())
        try:
            limit_s = plan.limits.total_s + GRACE_S
            await asyncio.wait({question, cut}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            if not question.done():
                verdict = (
                    Verdict.failed(Outcome.CLIENT_CANCEL, "given up: the exporter is stopping")
                    if cut.done()
                    else Verdict.failed(Outcome.TIMEOUT_TOTAL, f"given up after {plan.limits.total_s:g} s")
                )
                question.cancel()
                await asyncio.wait({question}, timeout=GRACE_S)
                return verdict, ""
            return _verdict(question, context), ""
        except NotApplicable as exc:
            return None, shown(context.record.mask(str(exc)), DETAIL_CHARS)
        finally:
            cut.cancel()
            question.cancel()


def _route(plan: Plan) -> tuple[str, str, str]:
    """What two plans share whose runs are the same: a reload may give a target another URL."""
    return (*plan.place, plan.target.url)


def _skipped(plan: Plan, cause: str, why: str) -> ProbeRun:
    return ProbeRun(
        target=plan.target.name,
        url=plan.target.url,
        probe=plan.probe.name,
        verdict=None,
        started_at=time.time(),
        duration_s=0.0,
        skipped=cause,
        note=why,
    )


async def _asked(plan: Plan, context: Context) -> Verdict:
    try:
        return await plan.probe.function(context)
    except SystemExit as exc:  # out of a task it would end the exporter at once
        return Verdict.failed(ProbeReason.INTERNAL, where(exc))


def _verdict(question: "asyncio.Future[Verdict]", context: Context) -> Verdict:
    try:
        verdict = question.result()
    except NotApplicable:
        raise
    except ProbeFailed as exc:
        verdict = exc.verdict
    except (Exception, asyncio.CancelledError) as exc:  # noqa: BLE001 (a probe file may raise anything)
        # The exception's own text may hold anything, so only the debug log gets it, masked.
        context.log("".join(traceback.format_exception_only(exc)).strip())
        return Verdict.failed(ProbeReason.INTERNAL, where(exc))
    wrong = _wrong_with(verdict)
    return verdict if wrong is None else Verdict.failed(ProbeReason.INTERNAL, f"the probe {wrong}")


def _wrong_with(verdict: object) -> str | None:
    """What the author of a probe has to change; None when there is nothing."""
    if not isinstance(verdict, Verdict):
        return f"returned {type(verdict).__name__}, not a Verdict"
    if not isinstance(verdict.reason, Outcome | ProbeReason):
        return f"failed for {verdict.reason!r:.50}, which is no Outcome: own words go into `detail`"
    if not isinstance(verdict.detail, str):
        return f"gave {type(verdict.detail).__name__} as `detail`, which must be a str"
    return None


def where(error: BaseException) -> str:
    """An exception without its text: what it is, and the line that raised it."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}"


def _report(
    context: Context,
    verdict: Verdict | None,
    note: str,
    failed: list[str],
    *,
    started_at: float,
    duration_s: float,
) -> ProbeRun:
    """What is known of a run; `failed` are the kinds of what its cleanup could not remove."""
    if failed and verdict is not None and verdict.ok:
        verdict = Verdict.failed(ProbeReason.CLEANUP, f"not removed: {', '.join(failed)}")
    record = context.record
    return ProbeRun(
        target=context.target.name,
        url=context.target.url,
        probe=context.probe,
        verdict=replace(verdict, detail=shown(context.record.mask(verdict.detail), DETAIL_CHARS))
        if verdict
        else None,
        started_at=started_at,
        duration_s=duration_s,
        turns=tuple(record.turns),
        calls=tuple(record.calls),
        command_tokens=dict(record.command_tokens),
        phases=dict(record.phases),
        scope_checks=tuple(record.scope_checks),
        cleanup_failures=tuple(failed),
        stays=tuple(record.stays),
        note="; ".join([*([note] if note else []), *record.notes]),
        log=tuple(record.log),
        cert_expires_at=context.asks.cert_expires_at,
    )


async def run_once(runner: Runner, plans: Iterable[Plan]) -> list[ProbeRun]:
    """Every plan once, in order: targets side by side, one probe of a target at a time."""
    plans = list(plans)
    gates = {plan.target.name: asyncio.Semaphore(1) for plan in plans}

    async def one(plan: Plan) -> ProbeRun:
        async with gates[plan.target.name]:
            return await runner.run(plan)

    return list(await asyncio.gather(*(one(plan) for plan in plans)))
