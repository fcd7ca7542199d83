"""What a run made is removed and seen to be gone; what it abandoned is stopped."""

import asyncio

import httpx
import pytest
from probe_bench import Bench
from waiting import until

from astrometer.api.server_versions import QUESTIONS, ServerVersions
from astrometer.probing.budget import Ledger
from astrometer.probing.context import Context
from astrometer.probing.runner import Runner
from astrometer.probing.verdict import Verdict
from astrometer.targets.script import ModelScript
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import SimulatorConfig


class Closing(Ledger):
    """A book that takes so many entries and breaks then."""

    def __init__(self, entries: int) -> None:
        super().__init__()
        self.entries = entries

    def book(self, _target: object, **_spent: int) -> None:
        self.entries -= 1
        if self.entries < 0:
            raise OSError("closed")


def test_an_answer_that_cannot_be_booked_is_stopped_and_removed_like_any_other(bench):
    async def probe(ctx: Context) -> Verdict:
        return Verdict.of(await ctx.chat("[[stall=0]]", first_token_s=0.4))

    run = asyncio.run(Runner(ledger=Closing(1)).run(bench.plan(bench.target("all"), probe)))
    assert (run.reason, run.cleanup_failures) == ("internal", ())
    assert bench.store.counters["requests_session_stop"] == 1
    assert bench.sessions() == []


def test_what_asking_for_the_version_made_is_removed_also_when_that_breaks(bench):
    async def probe(ctx: Context) -> Verdict:
        return Verdict.of(await ctx.chat("hi"))

    for endpoint in QUESTIONS:  # or nothing would be made
        fault = {"kind": "http_500", "count": 1, "endpoint": endpoint.name}
        assert httpx.post(f"{bench.url}/sim/faults", json=fault).is_success
    runner = Runner(ledger=Closing(2))
    with pytest.raises(OSError, match="closed"):
        asyncio.run(runner.run(bench.plan(bench.target("all"), probe)))
    assert bench.store.counters["requests_session_new"] == 1
    assert (bench.sessions(), len(runner.orphans)) == ([], 0)


def test_the_version_is_learnt_without_a_chat_where_the_server_says_it(bench):
    async def probe(ctx: Context) -> Verdict:
        return Verdict.of(await ctx.chat("hi"))

    runner, plan = Runner(), bench.plan(bench.target("all"), probe)

    async def twice() -> list[bool]:
        return [(await runner.run(plan)).ok for _ in range(2)]

    assert asyncio.run(twice()) == [True, True]
    assert runner.versions_of(bench.target("all")) == ServerVersions(running="4.29.3", on_disk="4.29.3")
    asked = {name: bench.store.counters[f"requests_{name}"] for name in ("chat", "versions", "versions_v1")}
    assert asked == {"chat": 2, "versions": 1, "versions_v1": 0}  # not again so soon


def test_a_deletion_is_believed_only_when_the_session_is_seen_to_be_gone(bench):
    class Liar(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.method == "DELETE":
                said = b'{"status": "ok", "message": null, "data": {}}'
                headers = {"Content-Type": "application/json"}
                return httpx.Response(200, headers=headers, stream=httpx.ByteStream(said))
            return await super().handle_async_request(request)

    async def probe(ctx: Context) -> Verdict:
        await ctx.identity(ctx.key("chat"))
        return Verdict.passed()

    runner = Runner(http=Liar)
    run = asyncio.run(runner.run(bench.plan(bench.target("all"), probe, costs_tokens=False)))
    assert (run.reason, run.cleanup_failures) == ("cleanup", ("session",))
    assert len(runner.orphans) == len(bench.sessions()) == 1


def test_a_version_that_deletes_nothing_keeps_one_session_with_a_short_memory(old_bench):
    async def probe(ctx: Context) -> Verdict:
        return Verdict.of(await ctx.chat("hi"))

    for _ in range(3):
        run = old_bench.run(old_bench.target("all"), probe)
        assert run.ok
        assert "session stays" in run.note
    assert old_bench.sessions() == ["astrometer-probe-p"]
    asked = [
        row.content["message"][0]["text"]
        for row in old_bench.store.messages["astrometer-probe-p"]
        if row.content["type"] == "user"
    ]
    assert asked == ["/reset", "hi", "/help"] * 3  # a runner asks for the version once an hour


def test_an_abandoned_answer_does_not_block_the_next_run_on_a_version_that_cannot_stop_it(old_bench):
    messages = ["[[stall=0]]", "hi"]

    async def probe(ctx: Context) -> Verdict:
        return Verdict.of(await ctx.chat(messages.pop(0), first_token_s=0.5))

    async def twice() -> list:
        runner, plan = Runner(), old_bench.plan(old_bench.target("all"), probe)
        return [await runner.run(plan), await runner.run(plan)]

    first, second = asyncio.run(twice())
    assert first.reason == "timeout_first_token"
    assert "goes on spending tokens" in first.note
    assert (second.reason, second.stays) == ("ok", ("session",))
    assert old_bench.sessions() == ["astrometer-probe-p", "astrometer-probe-p-1"]


def test_from_4_20_1_to_4_25_an_abandoned_answer_is_stopped_by_a_message():
    simulator = Simulator(SimulatorConfig(version="4.23.6", model=ModelScript(ttft_s=0.02, tokens=3)))

    async def probe(ctx: Context) -> Verdict:
        return Verdict.of(await ctx.chat("[[stall=1]]", idle_s=0.4))

    with serve(simulator) as url:
        bench = Bench(simulator, url)
        run = bench.run(bench.target("all"), probe)
        assert (run.reason, run.note.count("spending")) == ("stalled", 0)
        until(lambda: not simulator.pipeline.running)


def test_a_key_that_may_not_chat_leaves_nothing_to_own_up_to(old_bench):
    run = old_bench.ask("hi", old_bench.target("file"))
    assert (run.reason, run.stays, run.cleanup_failures) == ("forbidden", (), ())
