"""Plan -> run, by itself: budget, a question within its deadline, one verdict, cleanup that always comes."""

import asyncio
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter

import httpx

from astrometer.api.outcome import Outcome
from astrometer.outside_text import shown
from astrometer.probing.budget import Ledger, Refusal
from astrometer.probing.cleanup.identity import Memory, server_of
from astrometer.probing.cleanup.leak_journal import LeakJournal
from astrometer.probing.cleanup.orphans import Orphans
from astrometer.probing.context import Context
from astrometer.probing.plan import Plan
from astrometer.probing.verdict import NotApplicable, ProbeFailed, ProbeReason, ProbeRun, Verdict

# The chat's own deadline comes first and knows better what was missing; this is for a probe that hangs.
GRACE_S = 0.5
DETAIL_CHARS = 500


class Executor:
    """What all runs share: who each key is, what was spent, what was left on the servers."""

    def __init__(
        self,
        memory: Memory,
        ledger: Ledger,
        journal: LeakJournal,
        http: Callable[[], httpx.AsyncBaseTransport] | None = None,
    ) -> None:
        self.memory = memory
        self.ledger = ledger
        self.journal = journal
        self._http = http
        self.memory.instance = self.memory.instance or journal.instance
        self.orphans = Orphans(journal, memory, ledger, http)
        self._cut = asyncio.Event()

    def cut(self) -> None:
        """Give up all runs, now and later; their cleanup still happens."""
        self._cut.set()

    async def execute(self, plan: Plan, decided: Callable[[ProbeRun], None]) -> ProbeRun:
        """One run. `decided` gets it before the cleanup; what is returned knows what the cleanup left."""
        started_at, started = time.time(), perf_counter()
        refusal = self._refusal(plan)
        if refusal is not None:
            return skipped_run(plan, refusal.cause, refusal.why)
        context = Context(
            target=plan.target,
            probe=plan.probe.name,
            limits=plan.limits,
            options={**plan.probe.options, **plan.options},
            measures=plan.probe.measures,
            memory=self.memory,
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
                try:
                    await context.messenger.aclose()  # who is gone begins no conversation any more
                finally:
                    context.asks.extend(plan.limits.cleanup_s)
                    failed = await self.orphans.clean(context.made)
            try:
                reached = verdict is not None and not so_far([], []).unreachable
                swept = await self.orphans.take_along(context.made) if reached else []
                context.asks.extend(plan.limits.cleanup_s)
                if verdict is not None and verdict.ok and not failed:
                    await self._learn_version(plan, context, so_far([], []).server_started_at)
            finally:
                failed += await self.orphans.clean(context.made)
        finally:
            await context.asks.close()
        return so_far(failed, swept)

    async def _learn_version(self, plan: Plan, context: Context, started_at: float | None) -> None:
        if started_at is not None:
            self.memory.saw_start(server_of(plan.target), started_at)
        await context.made.learn_version(may_chat=plan.probe.costs_tokens)

    def _refusal(self, plan: Plan) -> Refusal | None:
        """Why the budget forbids this run, which is booked at once when it does not."""
        if not plan.probe.costs_tokens or plan.missing is not None:
            return None
        refusal = self.ledger.refusal(plan.target)
        if refusal is None:
            self.ledger.book(plan.target, runs=1)
        return refusal

    async def _ask(self, plan: Plan, context: Context) -> tuple[Verdict | None, str]:
        """The probe's verdict; None and why when it does not apply."""
        if plan.missing is not None:
            return None, plan.missing
        question = asyncio.ensure_future(_asked(plan, context))
        cut = asyncio.create_task(self._cut.wait())
        try:
            limit_s = plan.limits.total_s + GRACE_S
            await asyncio.wait({question, cut}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            if not question.done():
                verdict = (
                    Verdict.failed(Outcome.CLIENT_CANCEL, "given up: this process was told to stop")
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


def skipped_run(plan: Plan, cause: str, why: str) -> ProbeRun:
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
        im_turns=tuple(record.im_turns),
        calls=tuple(record.calls),
        command_tokens=dict(record.command_tokens),
        phases=dict(record.phases),
        measured=dict(record.measured),
        scope_checks=tuple(record.scope_checks),
        cleanup_failures=tuple(failed),
        stays=tuple(record.stays),
        note="; ".join([*([note] if note else []), *record.notes]),
        log=tuple(record.log),
        cert_expires_at=context.asks.cert_expires_at,
        used_key=record.used_key,
        networks=context.asks.networks(),
    )
