"""Runs that are shared, waited for, given up and cut; a few of a target at a time."""

import asyncio

import pytest

from astrometer.api.outcome import Outcome
from astrometer.probing.context import Context
from astrometer.probing.run_record import Limits
from astrometer.probing.runner import Runner, run_once
from astrometer.probing.verdict import Verdict


def test_a_runner_that_is_cancelled_cleans_up_and_ends(bench):
    async def probe(ctx: Context) -> Verdict:
        return Verdict.of(await ctx.chat("[[stall=1]]"))

    async def go() -> bool:
        runner = Runner()
        asyncio.ensure_future(runner.run(bench.plan(bench.target("all"), probe)))  # noqa: RUF006
        while not bench.store.counters["requests_chat"]:
            await asyncio.sleep(0.02)
        (task,) = runner.tasks
        task.cancel()
        await asyncio.wait({task})
        return task.cancelled()

    assert asyncio.run(go())
    assert bench.sessions() == []


def test_two_callers_share_one_run(bench):
    runs = []

    async def probe(_ctx: Context) -> Verdict:
        runs.append(1)
        await asyncio.sleep(0.1)
        return Verdict.passed()

    async def both() -> list:
        runner, plan = Runner(), bench.plan(bench.target("all"), probe)
        return await asyncio.gather(runner.run(plan), runner.run(plan))

    first, second = asyncio.run(both())
    assert first is second
    assert runs == [1]


def test_an_answer_comes_with_the_verdict_and_a_run_only_after_its_cleanup(bench):
    cleaned, finished = [], []

    async def probe(ctx: Context) -> Verdict:
        async def clean() -> bool:
            await asyncio.sleep(0.4)
            cleaned.append(1)
            return False

        ctx.cleanup("thing", clean)
        return Verdict.passed()

    async def go() -> None:
        runner, plan = Runner(), bench.plan(bench.target("all"), probe)
        answer = await runner.answer(plan, 1.0, finished.append)
        assert (answer.reason, cleaned, finished) == ("ok", [], [])
        assert runner.in_flight == 1
        await asyncio.gather(*runner.tasks)
        assert [run.reason for run in finished] == ["cleanup"]
        (whole,) = await run_once(runner, [plan])
        assert (whole.reason, cleaned) == ("cleanup", [1, 1])

    asyncio.run(go())


def test_an_answer_that_joins_a_run_waits_no_longer_than_its_limit(bench):
    begun, over = asyncio.Event(), asyncio.Event()

    async def probe(_ctx: Context) -> Verdict:
        begun.set()
        await over.wait()
        return Verdict.passed()

    async def go() -> None:
        runner, plan = Runner(), bench.plan(bench.target("all"), probe)
        scheduled = asyncio.create_task(runner.run(plan))
        await begun.wait()
        late = await runner.answer(plan, 0.3)
        assert late.reason == "timeout_total"
        assert 0.3 <= late.duration_s < 0.5
        over.set()
        assert (await runner.answer(plan, 5.0)).ok
        assert (await scheduled).ok

    asyncio.run(go())


def test_a_run_that_somebody_waits_for_is_not_reported_a_second_time(bench):
    finished = []

    async def probe(_ctx: Context) -> Verdict:
        await asyncio.sleep(0.2)
        return Verdict.passed()

    async def go() -> None:
        runner, plan = Runner(), bench.plan(bench.target("all"), probe)
        await asyncio.gather(runner.answer(plan, 5.0, finished.append), runner.run(plan))
        assert runner.in_flight == 0

    asyncio.run(go())
    assert finished == []


def test_a_scheduled_run_does_not_inherit_the_lower_deadline_of_a_scrape(bench):
    finished = []

    async def probe(ctx: Context) -> Verdict:
        return Verdict.of(await ctx.chat("[[ttft=0.8]]"))

    async def go() -> tuple:
        runner, plan = Runner(), bench.plan(bench.target("all"), probe)
        scrape = asyncio.create_task(runner.answer(plan, 0.3, finished.append))
        await asyncio.sleep(0.05)
        scheduled = await runner.run(plan)
        return await scrape, scheduled

    scrape, scheduled = asyncio.run(go())
    assert not scrape.ok
    assert scheduled.ok
    assert [run.ok for run in finished] == [False]  # the scrape's own run is still accounted for


@pytest.mark.timeout(20)
def test_a_run_asked_for_in_the_turn_in_which_a_lowered_one_ended_starts_anew(bench):
    asked = []

    async def probe(_ctx: Context) -> Verdict:
        asked.append(1)
        return Verdict.failed(Outcome.TIMEOUT_TOTAL) if len(asked) == 1 else Verdict.passed()

    async def go() -> bool:
        runner, plan = Runner(), bench.plan(bench.target("all"), probe)
        again = []
        await runner.answer(plan, 5.0, lambda _: again.append(asyncio.create_task(runner.run(plan))))
        await asyncio.gather(*runner.tasks)
        return (await again[0]).ok

    assert asyncio.run(go())
    assert len(asked) == 2


def test_cut_gives_up_running_chats_stops_them_and_cleans_up(bench):
    async def probe(ctx: Context) -> Verdict:
        return Verdict.of(await ctx.chat("[[stall=1]]"))

    async def cut_soon() -> object:
        runner = Runner()
        task = asyncio.create_task(runner.run(bench.plan(bench.target("all"), probe)))
        await asyncio.sleep(0.5)
        runner.cut()
        return await task

    run = asyncio.run(cut_soon())
    assert (run.reason, run.detail) == ("client_cancel", "given up: this process was told to stop")
    assert run.turns[-1].outcome is Outcome.CLIENT_CANCEL
    assert bench.store.counters["requests_session_stop"] == 1
    assert bench.sessions() == []


def test_a_lowered_deadline_is_kept(bench):
    async def probe(ctx: Context) -> Verdict:
        return Verdict.of(await ctx.chat("[[stall=0]]"))

    run = asyncio.run(Runner().run(bench.plan(bench.target("all"), probe, Limits(total_s=60)), 0.5))
    assert run.reason in ("timeout_first_token", "timeout_total")
    assert run.duration_s < 1.5
