"""Plans -> runs, again and again: spread out, never overlapping themselves, a few at a time per target."""

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from time import perf_counter
from typing import Protocol

from astrometer.probing.execution import where
from astrometer.probing.plan import Plan
from astrometer.probing.runner import BUSY, PACE, Runner
from astrometer.probing.verdict import ProbeReason, ProbeRun, Verdict

JITTER = 0.05  # share of the interval
MOST_STAGGER_S = 2.0  # between the first runs of neighbours
PACE_RETRY_S = 60.0  # until a run that was held back is tried again


class Book(Protocol):
    """Where the schedule writes down what happened."""

    def finished(self, run: ProbeRun) -> None: ...

    def skip(self, plan: Plan, cause: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Due:
    """When a plan's runs are due, in seconds since the schedule's start."""

    offset_s: float
    interval_s: float

    def at(self, index: int) -> float:
        return self.offset_s + index * self.interval_s

    def missed(self, index: int, now_s: float) -> int:
        """How many due times after `index` are over already."""
        return max(0, int((now_s - self.at(index)) // self.interval_s))


def spread(plans: Iterable[Plan]) -> list[tuple[Plan, Due]]:
    """First runs evenly over the interval, close together when they are few."""
    plans = list(plans)
    step = min([MOST_STAGGER_S, *(plan.interval_s / len(plans) for plan in plans)])
    return [(plan, Due(index * step, plan.interval_s)) for index, plan in enumerate(plans)]


@dataclass(slots=True)
class _Kept:
    """A plan that is kept running; `plan` may be replaced between two runs."""

    plan: Plan
    ending: asyncio.Event
    task: asyncio.Task[None] | None = None


class Schedule:
    """Keeps the plans running until `stop`. `update` exchanges them."""

    def __init__(
        self,
        runner: Runner,
        plans: Iterable[Plan],
        book: Book,
        *,
        random: Random | None = None,
        clock: Callable[[], float] = perf_counter,
        pace_retry_s: float = PACE_RETRY_S,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._pace_retry_s = pace_retry_s
        self._runner = runner
        self._plans = [plan for plan in plans if plan.is_scheduled]
        self._book = book
        self._random = random or Random()  # noqa: S311 (jitter, no secret)
        self._clock = clock
        self._say = say
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}  # also of plans that are no more

    def start(self) -> None:
        self._begin(self._plans)

    def update(self, plans: Iterable[Plan]) -> None:
        """Other plans from now on. Those with an unchanged interval keep their times; a run of one that is no
        more finishes.
        """
        plans = list(plans)
        places = {plan.place for plan in plans}
        self._runner.withdraw(lambda plan: plan.place in places)
        wanted = {plan.place: plan for plan in plans if plan.is_scheduled}
        for place, kept in [*self._kept.items()]:
            if place in wanted and wanted[place].interval_s == kept.plan.interval_s:
                kept.plan = wanted[place]
            else:
                kept.ending.set()
                del self._kept[place]
        self._begin([plan for place, plan in wanted.items() if place not in self._kept])

    def _begin(self, plans: list[Plan]) -> None:
        began = self._clock()
        for plan, due in spread(plans):
            kept = _Kept(plan, asyncio.Event())
            before = self._tasks.get(plan.place)
            self._kept[plan.place] = kept
            self._tasks[plan.place] = asyncio.create_task(self._keep_running(kept, due, began, before))

    async def stop(self, *, finish_s: float, give_up_s: float) -> None:
        """Start nothing more; wait `finish_s` for what runs, then give it up and let it clean up.

        That goes for every run of the runner, also for those that somebody else asked for.
        """
        for kept in self._kept.values():
            kept.ending.set()
        self._runner.withdraw()
        if await self._settle(finish_s):
            return
        self._runner.cut()
        if not await self._settle(give_up_s):
            for task in self._tasks.values():
                task.cancel()

    async def _settle(self, limit_s: float) -> bool:
        """Wait until nothing runs any more; False when something still does after `limit_s`."""
        end = self._clock() + limit_s
        while running := [task for task in (*self._tasks.values(), *self._runner.tasks) if not task.done()]:
            left_s = end - self._clock()
            if left_s <= 0:
                return False
            await asyncio.wait(running, timeout=left_s)
        return True

    async def _keep_running(
        self, kept: _Kept, due: Due, began: float, before: asyncio.Task[None] | None
    ) -> None:
        if before is not None:
            await asyncio.wait({before})  # the same plan with its old interval: its last run
        index = 0
        while await self._wait_until(
            began + due.at(index) + self._random.random() * JITTER * due.interval_s, kept.ending
        ):
            run = await self._run(kept, began + due.at(index + 1))
            # One that waited for its turn in vain was skipped for the whole interval already.
            missed = 0 if run.skipped == BUSY else due.missed(index, self._clock() - began)
            for _ in range(missed):
                self._book.skip(kept.plan, "overlap")
            index += 1 + missed

    async def _run(self, kept: _Kept, next_due: float) -> ProbeRun:
        """One run. Whatever goes wrong in it is said and counted, and the next one comes.

        A run that the budget's pace holds back is tried again until the next one is due.
        """
        began_at, began = time.time(), self._clock()
        plan = kept.plan
        try:
            run = await self._runner.run(plan)
            while run.skipped == PACE and self._clock() + self._pace_retry_s < next_due:
                if not await self._wait_until(self._clock() + self._pace_retry_s, kept.ending):
                    break
                plan = kept.plan
                run = await self._runner.run(plan)
            self._book.finished(run)
        except Exception as exc:  # noqa: BLE001
            verdict = Verdict.failed(ProbeReason.INTERNAL, where(exc))
            run = ProbeRun(
                target=plan.target.name,
                url=plan.target.url,
                probe=plan.probe.name,
                verdict=verdict,
                started_at=began_at,
                duration_s=self._clock() - began,
            )
            self._say(f"probe {run.probe} on {run.target}: a bug, and the run is lost: {verdict.detail}")
            with suppress(Exception):
                self._book.finished(run)
        return run

    async def _wait_until(self, t: float, ending: asyncio.Event) -> bool:
        """Sleep until `t`; False when `ending` comes first."""
        try:
            await asyncio.wait_for(ending.wait(), max(0.0, t - self._clock()))
        except TimeoutError:
            return True
        return False
