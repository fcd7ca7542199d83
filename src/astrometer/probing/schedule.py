"""Plans -> runs, again and again: spread out, never overlapping themselves, a few at a time per target."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from time import perf_counter
from typing import Protocol

from astrometer.probing.runner import Plan, Runner
from astrometer.probing.verdict import Run

PER_TARGET = 2  # every keyed request costs AstrBot some 40 ms of its only event loop
JITTER = 0.05  # share of the interval
MOST_STAGGER_S = 2.0  # between the first runs of neighbours


class Book(Protocol):
    """Where the schedule writes down what happened."""

    def record(self, run: Run) -> None: ...

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


class Schedule:
    """Keeps the plans running until `stop`."""

    def __init__(
        self,
        runner: Runner,
        plans: Iterable[Plan],
        book: Book,
        *,
        random: Random | None = None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._runner = runner
        self._plans = [plan for plan in plans if plan.missing_scope is None]
        self._book = book
        self._random = random or Random()  # noqa: S311 (jitter, no secret)
        self._clock = clock
        self._gates = {plan.target.name: asyncio.Semaphore(PER_TARGET) for plan in self._plans}
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        began = self._clock()
        self._tasks = [
            asyncio.create_task(self._keep_running(plan, due, began)) for plan, due in spread(self._plans)
        ]

    async def stop(self, *, finish_s: float, give_up_s: float) -> None:
        """Start nothing more; wait `finish_s` for what runs, then give it up and let it clean up.

        That goes for every run of the runner, also for those that somebody else asked for.
        """
        self._stopping.set()
        if await self._settle(finish_s):
            return
        self._runner.cut()
        if not await self._settle(give_up_s):
            for task in self._tasks:
                task.cancel()

    async def _settle(self, limit_s: float) -> bool:
        """Wait until nothing runs any more; False when something still does after `limit_s`."""
        end = self._clock() + limit_s
        while running := [task for task in (*self._tasks, *self._runner.tasks) if not task.done()]:
            left_s = end - self._clock()
            if left_s <= 0:
                return False
            await asyncio.wait(running, timeout=left_s)
        return True

    async def _keep_running(self, plan: Plan, due: Due, began: float) -> None:
        index = 0
        while await self._wait_until(began + due.at(index) + self._random.random() * JITTER * due.interval_s):
            gate = self._gates[plan.target.name]
            try:
                # A target whose cap is taken for a whole interval: this run would be the next one's.
                await asyncio.wait_for(gate.acquire(), due.interval_s)
            except TimeoutError:
                self._book.skip(plan, "schedule")
            else:
                try:
                    if not self._stopping.is_set():
                        self._book.record(await self._runner.run(plan))
                finally:
                    gate.release()
            missed = due.missed(index, self._clock() - began)
            for _ in range(missed):
                self._book.skip(plan, "overlap")
            index += 1 + missed

    async def _wait_until(self, t: float) -> bool:
        """Sleep until `t`; False when the schedule stops first."""
        try:
            await asyncio.wait_for(self._stopping.wait(), max(0.0, t - self._clock()))
        except TimeoutError:
            return True
        return False
