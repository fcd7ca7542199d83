"""A function that runs once has what a probe file has."""

import asyncio

from astrometer.probing.one_off import run_function
from astrometer.probing.runner import Runner
from astrometer.probing.verdict import Verdict


async def hangs(_ctx) -> Verdict:
    await asyncio.Event().wait()
    return Verdict.passed()


def test_a_deadline_and_a_cleanup(bench):
    async def probe(ctx):
        return Verdict.of(await ctx.chat("hi"))

    run = asyncio.run(run_function(bench.target("all"), "mine", probe, 20))
    assert (run.ok, run.probe, bench.sessions()) == (True, "mine", [])
    late = asyncio.run(run_function(bench.target("all"), "mine", hangs, 0.1))
    assert (late.reason, late.detail) == ("timeout_total", "given up after 0.1 s")


def test_its_runner_can_cut_it(bench):
    async def go():
        runner = Runner()
        asking = asyncio.create_task(run_function(bench.target("all"), "mine", hangs, 20, runner=runner))
        async with asyncio.timeout(5):
            while not runner.in_flight:
                await asyncio.sleep(0)
        runner.cut()
        return await asking

    assert asyncio.run(go()).reason == "client_cancel"
