"""Runs that come again and again, spread out, and an orderly end."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import Random

from waiting import async_until

from astrometer.config.settings import Budget
from astrometer.probing.budget import Ledger
from astrometer.probing.context import Context
from astrometer.probing.runner import Runner
from astrometer.probing.schedule import Schedule, spread
from astrometer.probing.verdict import ProbeRun, Verdict


class Notes:
    def __init__(self) -> None:
        self.runs: list[object] = []
        self.skips: Counter[str] = Counter()

    def finished(self, run: ProbeRun) -> None:
        if run.skipped:
            self.skips[run.skipped] += 1
        else:
            self.runs.append(run)

    def skip(self, _plan: object, cause: str) -> None:
        self.skips[cause] += 1


def keep(
    plans, until: Callable[[Notes, Runner], object], *, finish_s: float = 10.0, give_up_s: float = 20.0
) -> Notes:
    """Run a schedule `until` something is so, then stop it."""

    async def go() -> Notes:
        notes, runner = Notes(), Runner()
        schedule = Schedule(runner, plans, notes, random=Random(1))
        schedule.start()
        give_up = time.monotonic() + give_up_s
        while not until(notes, runner) and time.monotonic() < give_up:
            await asyncio.sleep(0.01)
        await schedule.stop(finish_s=finish_s, give_up_s=5)
        return notes

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

    plan = bench.plan(bench.target("all"), probe, interval_s=0.8)
    notes = keep([plan], lambda notes, _: len(notes.runs) == 4)
    assert 2.4 - 0.5 < notes.runs[3].started_at - notes.runs[0].started_at < 2.4 + 1.5
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

    plan = bench.plan(bench.target("all"), probe, interval_s=0.2)
    notes = keep([plan], lambda notes, _: notes.skips["overlap"] >= 3)
    assert most == 1
    assert notes.skips["overlap"] >= 3


def test_a_run_that_finds_no_place_for_an_interval_is_one_skip_and_the_next_is_due_in_time(bench):
    over, seen = asyncio.Event(), []

    async def hog(_ctx: Context) -> Verdict:
        await over.wait()
        return Verdict.passed()

    async def probe(_ctx: Context) -> Verdict:
        return Verdict.passed()

    def starved(notes: Notes, _runner: Runner) -> bool:
        if notes.skips["schedule"] < 3:
            return False
        seen.append(dict(notes.skips))
        over.set()
        return True

    target = replace(bench.target("all"), concurrency=1)
    plans = [
        bench.plan(target, hog, name="hog", interval_s=0.5),
        bench.plan(target, probe, name="starved", interval_s=0.5),
    ]
    keep(plans, starved)
    assert seen == [{"schedule": 3}]


def test_whatever_goes_wrong_with_a_run_is_said_and_counted_and_the_next_one_comes(bench):
    said: list[str] = []

    class Fussy(Notes):
        def finished(self, run: object) -> None:
            super().finished(run)
            if len(self.runs) == 1:
                raise ZeroDivisionError

    async def probe(_ctx: Context) -> Verdict:
        return Verdict.passed()

    async def go() -> list[str]:
        notes = Fussy()
        plan = bench.plan(bench.target("all"), probe, interval_s=0.3)
        schedule = Schedule(Runner(), [plan], notes, say=said.append)
        schedule.start()
        await async_until(lambda: len(notes.runs) >= 3)
        await schedule.stop(finish_s=10, give_up_s=5)
        return [run.reason for run in notes.runs[:3]]

    assert asyncio.run(go()) == ["ok", "internal", "ok"]
    assert len(said) == 1
    assert said[0].startswith(
        "probe p on sim: a bug, and the run is lost: ZeroDivisionError at test_schedule"
    )


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
    plans = [bench.plan(target, probe, name=f"p{n}", interval_s=0.6) for n in range(6)]
    keep(plans, lambda notes, _: len(notes.runs) >= 8)
    assert most == target.concurrency


def test_stop_lets_a_short_run_finish(bench):
    async def probe(_ctx: Context) -> Verdict:
        await asyncio.sleep(0.4)
        return Verdict.passed()

    notes = keep([bench.plan(bench.target("all"), probe)], lambda _, runner: runner.in_flight)
    assert [run.reason for run in notes.runs] == ["ok"]


def test_stop_gives_up_a_long_run_and_cleans_up_after_it(bench):
    async def probe(ctx: Context) -> Verdict:
        return Verdict.of(await ctx.chat("[[stall=1]]"))

    plan = bench.plan(bench.target("all"), probe, interval_s=1.0)
    notes = keep([plan], lambda *_: bench.store.counters["requests_chat"], finish_s=0.2)
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


def test_at_the_end_and_when_its_plan_is_gone_a_run_that_waits_for_its_turn_does_not_start(bench):
    started = []

    async def probe(ctx: Context) -> Verdict:
        started.append(ctx.probe)
        await asyncio.sleep(0.3)
        return Verdict.passed()

    async def go() -> None:
        runner, notes = Runner(), Notes()
        target = replace(bench.target("all"), concurrency=1)
        first, second, third = (bench.plan(target, probe, name=name) for name in ("first", "second", "third"))
        schedule = Schedule(runner, [], notes)
        asked = [asyncio.create_task(runner.answer(plan)) for plan in (first, second)]
        while not started:
            await asyncio.sleep(0.01)
        assert runner.in_flight == 1
        schedule.update([first])
        assert (await asked[1]).skipped == "schedule"
        asked = [asyncio.create_task(runner.answer(plan)) for plan in (second, third)]
        while len(started) == 1:
            await asyncio.sleep(0.01)
        await schedule.stop(finish_s=5, give_up_s=5)
        assert (await asked[1]).skipped == "schedule"

    asyncio.run(go())
    assert started == ["first", "second"]


def test_a_plan_that_only_scrapes_ask_is_not_scheduled(bench):
    async def probe(_ctx: Context) -> Verdict:
        return Verdict.passed()

    plan = replace(bench.plan(bench.target("all"), probe, interval_s=0.1), schedule=False)
    assert keep([plan], lambda notes, _: notes.runs, give_up_s=0.5).runs == []


def test_a_plan_without_its_key_is_not_scheduled(bench):
    async def probe(_ctx: Context) -> Verdict:
        return Verdict.passed()

    plan = bench.plan(bench.target(file="file"), probe, scopes=("chat",), interval_s=0.1)
    notes = keep([plan], lambda notes, _: notes.runs, give_up_s=0.5)
    assert notes.runs == []


def test_a_run_that_the_pace_holds_back_is_tried_again_before_the_next_is_due(bench):
    now = 1_800_000_000.0 // 86400 * 86400
    target = replace(bench.target("all"), budget=Budget(tokens_per_day=10_000))
    ledger = Ledger(paced=True, clock=lambda: now)
    ledger.book(target, tokens=1000)

    async def probe(_ctx: Context) -> Verdict:
        return Verdict.passed()

    async def go() -> Notes:
        nonlocal now
        notes, runner = Notes(), Runner(ledger=ledger)
        schedule = Schedule(runner, [bench.plan(target, probe)], notes, pace_retry_s=0.02)
        schedule.start()
        await asyncio.sleep(0.2)
        assert (notes.runs, notes.skips) == ([], Counter())
        now += 3600
        async with asyncio.timeout(10):
            while not notes.runs:
                await asyncio.sleep(0.01)
        await schedule.stop(finish_s=1, give_up_s=1)
        return notes

    notes = asyncio.run(go())
    assert ([run.ok for run in notes.runs], notes.skips) == ([True], Counter())


def test_a_run_that_is_held_back_for_its_whole_interval_is_one_skip(bench):
    target = replace(bench.target("all"), budget=Budget(tokens_per_day=10_000))
    ledger = Ledger(paced=True)
    ledger.book(target, tokens=9_000)
    plan = bench.plan(target, passes, interval_s=0.2)
    notes = keep_with(Runner(ledger=ledger), [plan], lambda notes: notes.skips["pace"] >= 2)
    assert notes.runs == []
    assert set(notes.skips) == {"pace"}


async def passes(_ctx: Context) -> Verdict:
    return Verdict.passed()


def keep_with(runner: Runner, plans, until: Callable[[Notes], object]) -> Notes:
    async def go() -> Notes:
        notes = Notes()
        schedule = Schedule(runner, plans, notes, random=Random(1), pace_retry_s=0.05)
        schedule.start()
        async with asyncio.timeout(10):
            while not until(notes):
                await asyncio.sleep(0.01)
        await schedule.stop(finish_s=1, give_up_s=1)
        return notes

    return asyncio.run(go())
