"""Wanted runs -> runs: each plan once at a time, a few of a target at a time, shared by all who ask."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from math import inf
from time import perf_counter

import httpx

from astrometer.api.outcome import Outcome
from astrometer.api.server_versions import ServerVersions
from astrometer.config.settings import Target
from astrometer.probing.budget import Ledger
from astrometer.probing.cleanup.identity import Memory, server_of
from astrometer.probing.cleanup.leak_journal import LeakJournal
from astrometer.probing.execution import Executor, skipped_run
from astrometer.probing.plan import Plan
from astrometer.probing.verdict import ProbeRun, Verdict

# An answer waits this much longer than the run that it started, which knows better; a scrape leaves more.
ANSWER_GRACE_S = 0.2
# What a deadline that somebody else lowered may have been the cause of.
DEADLINES = frozenset(
    {Outcome.TIMEOUT_CONNECT, Outcome.TIMEOUT_FIRST_TOKEN, Outcome.STALLED, Outcome.TIMEOUT_TOTAL}
)
PACE = "pace"  # why a run was held back: the budget is to last the day
BUSY = "schedule"  # why a run did not start whose turn did not come in time
Finished = Callable[[ProbeRun], None]


class RunStage(Enum):
    """Of a run in flight. It waits while as many runs of its target as the config allows are under way."""

    WAITING = auto()
    WITHDRAWN = auto()  # and when its turn comes, it is not wanted any more
    RUNNING = auto()


@dataclass(slots=True)
class _Flight:
    """A run in flight: `decided` comes before the cleanup, `task` ends after it."""

    plan: Plan
    decided: asyncio.Future[ProbeRun]
    total_s: float  # what whoever started it gives it; while it waits, 0 for any limit of theirs
    task: asyncio.Task[ProbeRun] = field(init=False)
    stage: RunStage = RunStage.WAITING
    awaited: bool = False  # somebody gets the whole run from `Runner.run`

    def satisfies(self, run: ProbeRun) -> bool:
        """Whether `run` would have ended like this under the plan's own deadline."""
        if self.total_s >= self.plan.limits.total_s:
            return True
        cause = run.skipped if run.verdict is None else run.verdict.reason
        return cause not in DEADLINES and cause != BUSY


class Runner:
    """Runs plans, and knows which runs are in flight."""

    def __init__(
        self,
        *,
        memory: Memory | None = None,
        ledger: Ledger | None = None,
        journal: LeakJournal | None = None,
        http: Callable[[], httpx.AsyncBaseTransport] | None = None,
    ) -> None:
        self._memory = memory or Memory()
        self.ledger = ledger or Ledger()
        self.journal = journal if journal is not None else LeakJournal()
        self._executor = Executor(self._memory, self.ledger, self.journal, http)
        self.orphans = self._executor.orphans
        self._flying: dict[tuple[str, str, str], _Flight] = {}  # by target, probe and URL
        self._gates: dict[str, tuple[int, asyncio.Semaphore]] = {}  # by target, each with its width

    @property
    def in_flight(self) -> int:
        return sum(flight.stage is RunStage.RUNNING for flight in self._flying.values())

    @property
    def tasks(self) -> list[asyncio.Task[ProbeRun]]:
        """The runs in flight, each until its cleanup is over."""
        return [flight.task for flight in self._flying.values()]

    def is_running(self, plan: Plan) -> bool:
        """Whether a run of it is under way; one that waits for its turn is not yet."""
        flight = self._flying.get(_route(plan))
        return flight is not None and flight.stage is RunStage.RUNNING

    def versions_of(self, target: Target) -> ServerVersions | None:
        """The AstrBot versions of a target as far as its answers told."""
        return self._memory.versions.get(server_of(target))

    def forget(self, target: Target) -> None:
        """Its URL or its keys are others now: who they are is to be learnt again."""
        server = server_of(target)
        self._memory.versions.pop(server, None)
        self._memory.forget_asking(server)
        for place in [place for place in self._memory.identities if place[0] == server]:
            del self._memory.identities[place]

    def withdraw(self, wanted: Callable[[Plan], bool] = lambda _: False) -> None:
        """Runs that still wait for their turn do not start, but for those of plans that are `wanted`."""
        for flight in self._flying.values():
            if flight.stage is RunStage.WAITING and not wanted(flight.plan):
                flight.stage = RunStage.WITHDRAWN

    def cut(self) -> None:
        """Give up all runs, now and later; their cleanup still happens."""
        self._executor.cut()

    def cut_at_signals(self) -> None:
        """Ctrl-C and SIGTERM give up all runs of this event loop."""
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self.cut)

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
        if flight.stage is not RunStage.RUNNING:
            return skipped_run(plan, BUSY, f"its turn did not come in {limit_s:g} s")
        return ProbeRun(
            target=plan.target.name,
            url=plan.target.url,
            probe=plan.probe.name,
            verdict=Verdict.failed(Outcome.TIMEOUT_TOTAL, f"no verdict in {limit_s:g} s; the run goes on"),
            started_at=asked_at,
            duration_s=perf_counter() - asked,
        )

    def _start(self, plan: Plan, total_s: float | None, finished: Finished | None = None) -> _Flight:
        flight = _Flight(
            plan, asyncio.get_running_loop().create_future(), 0.0 if total_s is not None else inf
        )

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
            return skipped_run(plan, BUSY, f"{plan.target.concurrency} others ran for {patience_s:g} s")
        try:
            if flight.stage is RunStage.WITHDRAWN:
                return skipped_run(plan, BUSY, "not wanted any more when its turn came")
            flight.stage = RunStage.RUNNING
            flight.total_s = inf if total_s is None else total_s - (perf_counter() - began)
            if flight.total_s < plan.limits.total_s:
                plan = replace(plan, limits=replace(plan.limits, total_s=flight.total_s))
            return await self._executor.execute(plan, flight.decided.set_result)
        finally:
            gate.release()

    def _gate(self, target: Target) -> asyncio.Semaphore:
        """Of the width that the config says now. What another one let in before is not counted by it."""
        width, gate = self._gates.get(target.name, (0, None))
        if gate is None or width != target.concurrency:
            gate = asyncio.Semaphore(target.concurrency)
            self._gates[target.name] = (target.concurrency, gate)
        return gate


def _route(plan: Plan) -> tuple[str, str, str]:
    """What two plans share whose runs are the same: a reload may give a target another URL."""
    return (*plan.place, plan.target.url)


async def run_once(runner: Runner, plans: Iterable[Plan]) -> list[ProbeRun]:
    """Every plan once, in order: targets side by side, one probe of a target at a time."""
    plans = list(plans)
    gates = {plan.target.name: asyncio.Semaphore(1) for plan in plans}

    async def one(plan: Plan) -> ProbeRun:
        async with gates[plan.target.name]:
            return await runner.run(plan)

    return list(await asyncio.gather(*(one(plan) for plan in plans)))
