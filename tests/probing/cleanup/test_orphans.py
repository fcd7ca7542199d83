"""What cleanups could not remove is tried again, counted, and given up in the end."""

import asyncio
import time
from dataclasses import replace

import httpx
from leak_journals import die
from prometheus_client import CollectorRegistry

from astrometer.api.outcome import Outcome
from astrometer.probing.cleanup.leak_journal import FORGET_AFTER_S
from astrometer.probing.cleanup.orphans import MOST_KEPT
from astrometer.probing.context import Context
from astrometer.probing.exporter.metrics import ProbeMetrics
from astrometer.probing.run_record import Cleanup
from astrometer.probing.runner import Runner
from astrometer.probing.transport.probe_client import Upload
from astrometer.probing.verdict import Verdict


async def reach(ctx: Context) -> Verdict:
    return Verdict.of(await ctx.chat("hi"))


def test_leftovers_of_a_key_that_the_config_has_lost_block_no_others(bench):
    target = bench.target("all")
    lost = replace(target.keys["all"], name="lost")

    async def leave(ctx: Context) -> Verdict:
        for key, item in [*((lost, f"s{n}") for n in range(5)), (target.keys["all"], "ours")]:
            entry = ctx.made.journal.note("session", target, key, "p", item)
            ctx.made.items.insert(0, Cleanup(resource="session", delete=cannot, entry=entry))
        return Verdict.failed(Outcome.CONNECT)  # unreachable: nothing is taken along yet

    async def go() -> None:
        runner = Runner()
        await runner.run(bench.plan(target, leave))
        after = await runner.run(bench.plan(target, reach, name="q"))
        assert (after.reason, after.swept, len(runner.orphans)) == ("ok", (("p", "session"),), 5)

    asyncio.run(go())


async def cannot() -> bool:
    return False


def test_leftovers_are_given_up_after_a_month_also_while_the_exporter_runs(bench, journal):
    now, said, target = time.time(), [], bench.target("all")
    ours = journal(clock=lambda: now, say=said.append)

    async def leave(ctx: Context) -> Verdict:
        entry = ctx.made.journal.note("session", target, target.keys["all"], "p", "old")
        ctx.made.items.append(Cleanup(resource="session", delete=cannot, entry=entry))
        return Verdict.failed(Outcome.CONNECT)  # unreachable: nothing is taken along yet

    async def go() -> None:
        nonlocal now
        runner = Runner(journal=ours)
        await runner.run(bench.plan(target, leave))
        now += FORGET_AFTER_S + 1
        after = await runner.run(bench.plan(target, reach, name="q"))
        assert (after.reason, after.swept, len(runner.orphans), len(ours)) == ("ok", (), 0, 0)

    asyncio.run(go())
    assert said == ["sim: session old: given up after 30 days"]


def test_a_server_that_deletes_nothing_makes_no_endless_list_and_all_is_counted(bench, journal):
    said: list[str] = []
    target, ours, registry = bench.target("all"), journal(say=said.append), CollectorRegistry()

    async def leave(ctx: Context) -> Verdict:
        for number in range(MOST_KEPT + 10):
            entry = ctx.made.journal.note("session", target, target.keys["all"], "p", f"s{number}")
            ctx.made.items.append(Cleanup(resource="session", delete=cannot, entry=entry))
        return Verdict.failed(Outcome.CONNECT)  # unreachable: nothing is taken along yet

    runner = Runner(journal=ours)
    run = asyncio.run(runner.run(bench.plan(target, leave)))
    ProbeMetrics(registry).observe(run)
    place = {"target": "sim", "probe": "p", "resource": "session"}
    assert registry.get_sample_value("astrbot_probe_leaked_resources", place) == MOST_KEPT + 10
    assert (len(runner.orphans), len(ours)) == (MOST_KEPT, MOST_KEPT)
    assert said == [f"sim: more than {MOST_KEPT} things could not be deleted: the oldest are not tried again"]


def test_a_leftover_that_one_run_tries_is_neither_tried_nor_kept_by_another_meanwhile(bench):
    target = bench.target("all")
    deletions: list[str] = []

    async def learn(ctx: Context) -> Verdict:
        await ctx.identity(ctx.key("chat"))
        return Verdict.passed()

    async def leave(ctx: Context) -> Verdict:
        return Verdict.of(await ctx.chat("hi"))

    async def leave_again(ctx: Context) -> Verdict:
        entry = ctx.made.journal.note("session", target, target.keys["all"], "p", bench.sessions()[0])
        ctx.made.items.append(Cleanup(resource="session", delete=cannot, entry=entry))
        return Verdict.failed(Outcome.STALLED)

    async def go() -> None:
        began, goes_on = asyncio.Event(), asyncio.Event()
        goes_on.set()

        class Slow(httpx.AsyncHTTPTransport):
            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                if request.method == "DELETE":
                    deletions.append(request.url.path)
                    began.set()
                    await goes_on.wait()
                return await super().handle_async_request(request)

        fault = {"kind": "http_500", "count": 1000, "endpoint": "session_delete"}
        runner = Runner(http=Slow)
        await runner.run(bench.plan(target, learn))  # and the version
        httpx.post(f"{bench.url}/sim/faults", json=fault)
        assert (await runner.run(bench.plan(target, leave))).cleanup_failures == ("session",)
        assert len(runner.orphans) == 1
        began.clear()
        goes_on.clear()
        deletions.clear()
        trying = asyncio.create_task(runner.run(bench.plan(target, passing, name="q", costs_tokens=False)))
        await began.wait()
        other = await runner.run(bench.plan(target, leave_again, name="r", costs_tokens=False))
        assert (other.cleanup_failures, other.swept, len(runner.orphans)) == ((), (), 1)
        goes_on.set()
        assert (await trying).swept == ()
        assert (len(deletions), len(runner.orphans), len(bench.sessions())) == (1, 1, 1)

    asyncio.run(go())


def test_an_upload_that_cannot_be_removed_is_tried_in_one_session_only_which_is_counted_and_tried_again(
    bench, journal
):
    ours = journal()

    async def lone(ctx: Context) -> Verdict:
        await ctx.attach(Upload(name="lone.txt", content=b"x"))
        return Verdict.passed()

    async def go() -> None:
        runner = Runner(journal=ours)
        fault = {"kind": "http_500", "count": 1000, "endpoint": "session_delete"}
        assert (await runner.run(bench.plan(bench.target("all"), lone))).ok
        httpx.post(f"{bench.url}/sim/faults", json=fault)
        left = await runner.run(bench.plan(bench.target("all"), lone))
        assert left.cleanup_failures == ("upload", "session")
        free = bench.plan(bench.target("all"), passing, name="q")
        for _ in range(3):
            assert (await runner.run(free)).cleanup_failures == ()
        # The upload, and the session that should take it along.
        assert (len(ours), len(runner.orphans), len(bench.sessions())) == (2, 2, 1)
        httpx.delete(f"{bench.url}/sim/faults")
        assert (await runner.run(free)).swept == (("p", "upload"), ("p", "session"))
        assert (len(ours), len(runner.orphans), bench.sessions()) == (0, 0, [])

    asyncio.run(go())


def test_a_sweep_counts_the_session_that_it_made_for_an_upload_and_could_not_remove(bench, tmp_path, journal):
    first = journal()
    target = bench.target("all")

    async def lone(ctx: Context) -> Verdict:
        await ctx.attach(Upload(name="lone.txt", content=b"x"))
        ctx.made.items.clear()  # as if the process had died here
        return Verdict.passed()

    asyncio.run(Runner(journal=first).run(bench.plan(target, lone)))
    die(first)
    httpx.post(
        f"{bench.url}/sim/faults", json={"kind": "http_500", "count": 100, "endpoint": "session_delete"}
    )
    runner = Runner(journal=journal())
    (run,) = asyncio.run(runner.orphans.sweep([target]))
    assert (run.probe, sorted(set(run.cleanup_failures))) == ("p", ["session", "upload"])
    assert len(runner.orphans) == len(run.cleanup_failures)


async def passing(_ctx: Context) -> Verdict:
    return Verdict.passed()


def test_what_a_dead_server_kept_is_removed_when_it_is_back(bench):
    """The server goes in mid-answer: the session is a leak, and the first good run takes it along."""

    async def break_it(ctx: Context) -> Verdict:
        await ctx.identity(ctx.key("chat"))
        for kind in ("http_500", "http_503"):
            fault = {"kind": kind, "count": 8, "endpoint": "session_delete"}
            httpx.post(f"{bench.url}/sim/faults", json=fault)
        return Verdict.of(await ctx.chat("[sim:cut:2]"))

    async def fine(ctx: Context) -> Verdict:
        return Verdict.of(await ctx.chat("hi"))

    async def go() -> None:
        runner = Runner()
        broken = await runner.run(bench.plan(bench.target("all"), break_it))
        assert (broken.reason, broken.cleanup_failures, len(runner.orphans)) == ("reset", ("session",), 1)
        httpx.delete(f"{bench.url}/sim/faults")
        after = await runner.run(bench.plan(bench.target("all"), fine, name="q"))
        assert (after.reason, after.swept, len(runner.orphans)) == ("ok", (("p", "session"),), 0)

    asyncio.run(go())
    assert bench.sessions() == []
