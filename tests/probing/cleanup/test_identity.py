"""Whom a key may chat as, learnt from servers of every version."""

import asyncio

from astrometer.probing.context import Context
from astrometer.probing.runner import Runner, run_once
from astrometer.probing.verdict import Verdict


def test_identity_is_learnt_once_and_its_session_removed(bench):
    async def probe(ctx: Context) -> Verdict:
        return Verdict.of(await ctx.chat("hi"))

    plan = bench.plan(bench.target("all"), probe)

    async def twice() -> None:
        runner = Runner()
        await run_once(runner, [plan])
        await run_once(runner, [plan])

    asyncio.run(twice())
    assert bench.store.counters["requests_session_new"] == 1
    assert bench.sessions() == []
