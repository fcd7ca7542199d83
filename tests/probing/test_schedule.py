"""Runs that come again and again, spread out, and an orderly end."""

import asyncio
from collections import Counter
from random import Random

from astrometer.probing.probe import Context, Verdict
from astrometer.probing.runner import Runner
from astrometer.probing.schedule import PER_TARGET, Schedule, spread


class Notes:
    def __init__(self) -> None:
        self.runs: list[object] = []
        self.skips: Counter[str] = Counter()

    def record(self, run: object) -> None:
        self.runs.append(run)

    def skip(self, _plan: object, cause: str) -> None:
        self.skips[cause] += 1


def keep(plans, seconds: float, *, finish_s: float = 2.0) -> tuple[Notes, Runner]:
    async def go() -> tuple[Notes, Runner]:
        notes, runner = Notes(), Runner()
        schedule = Schedule(runner, plans, notes, random=Random(1))
        schedule.start()
        await asyncio.sleep(seconds)
        await schedule.stop(finish_s=finish_s, give_up_s=5)
        return notes, runner

    return asyncio.run(go())


def test_first_runs_are_spread_over_the_interval(bench):
    async def probe(_ctx: Context) -> Verdict:
        return Verdict.passed()

    plans = [bench.plan(bench.target("all"), probe, name=f"p{n}", interval_s=10.0) for n in range(10)]
    assert [due.offset_s for _, due in spread(plans)] == [float(n) for n in range(10)]
    assert [due.offset_s for _, due in spread(plans[:2])] == [0.0, 2.0]


def test_a_plan_runs_once_an_interval(bench):
    async def probe(_ctx: Context) -> Verdict:
        return Verdict.passed()

    notes, _ = keep([bench.plan(bench.target("all"), probe, interval_s=0.2)], 1.1)
    assert 5 <= len(notes.runs) <= 6
    assert notes.skips == Counter()


def test_a_slow_probe_never_overlaps_itself_and_its_skips_are_counted(bench):
    running, most = 0, 0

    async def probe(_ctx: Context) -> Verdict:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.5)
        running -= 1
        return Verdict.passed()

    notes, _ = keep([bench.plan(bench.target("all"), probe, interval_s=0.2)], 1.4)
    assert most == 1
    assert notes.skips["overlap"] >= 3


def test_a_target_is_asked_a_few_things_at_a_time(bench):
    running, most = 0, 0

    async def probe(_ctx: Context) -> Verdict:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.3)
        running -= 1
        return Verdict.passed()

    target = bench.target("all")
    keep([bench.plan(target, probe, name=f"p{n}", interval_s=0.6) for n in range(6)], 1.2)
    assert most == PER_TARGET


def test_stop_lets_a_short_run_finish(bench):
    async def probe(_ctx: Context) -> Verdict:
        await asyncio.sleep(0.4)
        return Verdict.passed()

    notes, _ = keep([bench.plan(bench.target("all"), probe)], 3.2)  # the first starts within the jitter
    assert [run.reason for run in notes.runs] == ["ok"]


def test_stop_gives_up_a_long_run_and_cleans_up_after_it(bench):
    async def probe(ctx: Context) -> Verdict:
        return Verdict.of(await ctx.chat("[[stall=1]]"))

    notes, _ = keep([bench.plan(bench.target("all"), probe, interval_s=1.0)], 0.6, finish_s=0.2)
    assert [run.reason for run in notes.runs] == ["client_cancel"]
    assert bench.sessions() == []


def test_stop_waits_for_a_run_that_somebody_else_asked_for_and_cleans_up_after_it(bench):
    async def probe(ctx: Context) -> Verdict:
        return Verdict.of(await ctx.chat("[[stall=1]]"))

    async def go() -> str:
        runner = Runner()
        schedule = Schedule(runner, [], Notes())
        schedule.start()
        asked = asyncio.create_task(runner.answer(bench.plan(bench.target("all"), probe)))
        while not bench.store.counters["requests_chat"]:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        await schedule.stop(finish_s=0.2, give_up_s=5)
        assert runner.in_flight == 0
        return (await asked).reason

    assert asyncio.run(go()) == "client_cancel"
    assert bench.sessions() == []
    assert bench.store.counters["requests_session_stop"] == 1


def test_a_plan_without_its_key_is_not_scheduled(bench):
    async def probe(_ctx: Context) -> Verdict:
        return Verdict.passed()

    notes, _ = keep([bench.plan(bench.target(file="file"), probe, scopes=("chat",), interval_s=0.1)], 0.3)
    assert notes.runs == []
