"""Deadlines, cleanup that always happens, one run at a time, and verdicts for what should not happen."""

import asyncio
import json
import sys
import time

import httpx
import pytest
from probe_bench import Bench

from astrometer.api.outcome import Outcome
from astrometer.probing.budget import Ledger
from astrometer.probing.context import Context
from astrometer.probing.run_record import Limits
from astrometer.probing.runner import Runner, run_once
from astrometer.probing.verdict import NotApplicable, ProbeFailed, Verdict
from astrometer.targets.script import ModelScript
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import SimulatorConfig


async def passing(_ctx: Context) -> Verdict:
    return Verdict.passed()


def test_a_verdict_is_ok_only_when_its_reason_is():
    assert Verdict.passed().ok
    assert not Verdict.failed(Outcome.RESET).ok


def test_cleanup_runs_last_made_first(bench):
    order = []

    async def probe(ctx: Context) -> Verdict:
        for name in ("first", "second"):
            ctx.cleanup(name, lambda name=name: gone(name))
        return Verdict.passed()

    async def gone(name: str) -> bool:
        order.append(name)
        return True

    assert bench.run(bench.target("all"), probe).ok
    assert order == ["second", "first"]


@pytest.mark.parametrize("end", ["passes", "fails", "raises", "hangs"])
def test_cleanup_runs_however_the_probe_ends(bench, end):
    cleaned = []

    async def probe(ctx: Context) -> Verdict:
        async def clean() -> bool:
            cleaned.append(end)
            return True

        ctx.cleanup("thing", clean)
        if end == "raises":
            raise ZeroDivisionError
        if end == "hangs":
            await asyncio.sleep(60)
        return Verdict.passed() if end == "passes" else Verdict.failed(Outcome.RESET)

    run = bench.run(bench.target("all"), probe, total_s=0.2)
    expected = {"passes": "ok", "fails": "reset", "raises": "internal", "hangs": "timeout_total"}
    assert run.reason == expected[end]
    assert cleaned == [end]


def test_a_cleanup_that_fails_is_the_reason_only_of_a_probe_that_passed(bench):
    async def not_gone() -> bool:
        return False

    async def probe(ctx: Context) -> Verdict:
        ctx.cleanup("session", not_gone)
        return verdicts.pop()

    verdicts = [Verdict.failed(Outcome.STALLED), Verdict.passed()]
    run = bench.run(bench.target("all"), probe)
    assert (run.reason, run.cleanup_failures) == ("cleanup", ("session",))
    run = bench.run(bench.target("all"), probe)
    assert (run.reason, run.cleanup_failures) == ("stalled", ("session",))


def test_a_cleanup_that_hangs_meets_its_own_deadline_and_one_that_raises_stops_nobody(bench):
    async def probe(ctx: Context) -> Verdict:
        ctx.cleanup("slow", lambda: asyncio.sleep(60))
        ctx.cleanup("broken", broken)
        return Verdict.passed()

    async def broken() -> bool:
        raise RuntimeError

    run = bench.run(bench.target("all"), probe, cleanup_s=0.2)
    assert run.cleanup_failures == ("broken", "slow")


def test_an_exception_is_internal_with_its_place_and_without_its_text(bench):
    secret = bench.store.keys["all"].secret

    async def probe(_ctx: Context) -> Verdict:
        raise ValueError(f"the key is {secret}")

    run = bench.run(bench.target("all"), probe)
    assert run.reason == "internal"
    assert run.detail.startswith("ValueError at test_runner.py:")
    assert secret not in repr(run)


def test_a_probe_that_returns_no_verdict_is_internal(bench):
    async def probe(_ctx: Context) -> Verdict:
        return True  # type: ignore[return-value]

    assert bench.run(bench.target("all"), probe).reason == "internal"


def fails_for_its_own_reason() -> Verdict:
    return Verdict.failed("my own reason")  # type: ignore[arg-type]


def fails_for_a_known_name() -> Verdict:
    return Verdict.failed("reset")  # type: ignore[arg-type]


def raises_its_own_reason() -> Verdict:
    raise ProbeFailed("my own reason")  # type: ignore[arg-type]


def passes_with_a_list() -> Verdict:
    return Verdict.passed(["a", "list"])  # type: ignore[arg-type]


def is_cancelled() -> Verdict:
    raise asyncio.CancelledError


def exits() -> Verdict:
    sys.exit(1)


@pytest.mark.parametrize(
    ("end", "detail"),
    [
        (fails_for_its_own_reason, "'my own reason', which is no Outcome: own words go into `detail`"),
        (fails_for_a_known_name, "'reset', which is no Outcome"),
        (raises_its_own_reason, "'my own reason', which is no Outcome"),
        (passes_with_a_list, "gave list as `detail`, which must be a str"),
        (is_cancelled, "CancelledError at test_runner.py:"),
        (exits, "SystemExit at test_runner.py:"),
    ],
)
def test_a_verdict_that_is_none_is_internal_says_what_to_do_and_the_cleanup_happens(bench, end, detail):
    cleaned = []

    async def probe(ctx: Context) -> Verdict:
        async def clean() -> bool:
            cleaned.append(1)
            return True

        ctx.cleanup("thing", clean)
        return end()

    run = bench.run(bench.target("all"), probe)
    assert run.reason == "internal"
    assert detail in run.detail
    assert cleaned == [1]


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


def test_not_applicable_is_neither_pass_nor_failure(bench):
    secret = bench.store.keys["all"].secret

    async def probe(_ctx: Context) -> Verdict:
        raise NotApplicable(f"nothing to ask with {secret}")

    run = bench.run(bench.target("all"), probe)
    assert (run.verdict, run.note) == (None, "nothing to ask with ***")


def test_a_probe_whose_scope_no_key_has_does_not_run(bench):
    plan = bench.plan(bench.target(file="file"), passing, scopes=("chat",))
    run = asyncio.run(Runner().run(plan))
    assert run.verdict is None
    assert "scope chat" in run.note


def test_probe_failed_is_the_verdict(bench):
    async def probe(_ctx: Context) -> Verdict:
        raise ProbeFailed(Outcome.MALFORMED, "why")

    run = bench.run(bench.target("all"), probe)
    assert (run.reason, run.detail) == ("malformed", "why")


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
    async def probe(_ctx: Context) -> Verdict:
        await asyncio.sleep(1.0)
        return Verdict.passed()

    async def go() -> None:
        runner, plan = Runner(), bench.plan(bench.target("all"), probe)
        scheduled = asyncio.create_task(runner.run(plan))
        await asyncio.sleep(0.1)
        late = await runner.answer(plan, 0.3)
        assert late.reason == "timeout_total"
        assert 0.3 <= late.duration_s < 0.5
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
    assert (run.reason, run.detail) == ("client_cancel", "given up: the exporter is stopping")
    assert run.turns[-1].outcome is Outcome.CLIENT_CANCEL
    assert bench.store.counters["requests_session_stop"] == 1
    assert bench.sessions() == []


def test_a_lowered_deadline_is_kept(bench):
    async def probe(ctx: Context) -> Verdict:
        return Verdict.of(await ctx.chat("[[stall=0]]"))

    run = asyncio.run(Runner().run(bench.plan(bench.target("all"), probe, Limits(total_s=60)), 0.5))
    assert run.reason in ("timeout_first_token", "timeout_total")
    assert run.duration_s < 1.5


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

    runner = Runner(ledger=Closing(2))
    with pytest.raises(OSError, match="closed"):
        asyncio.run(runner.run(bench.plan(bench.target("all"), probe)))
    assert bench.store.counters["requests_session_new"] == 1
    assert (bench.sessions(), len(runner.orphans)) == ([], 0)


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


def test_a_server_that_echoes_the_key_cannot_make_us_print_it(bench):
    secret = bench.store.keys["all"].secret
    run = bench.ask(f"[[say={secret}]]")
    assert run.reason == "canary_mismatch"
    shown = json.dumps([run.detail, run.note, [line.text for line in run.log]])
    assert secret not in shown
    assert "***" in shown


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
        give_up = time.monotonic() + 10
        while simulator.pipeline.running and time.monotonic() < give_up:
            time.sleep(0.02)
        assert simulator.pipeline.running == {}


def test_a_whole_run_without_a_first_token_is_named_so(bench):
    run = bench.ask("[[stall=0]]", total_s=0.8)
    assert run.reason == "timeout_first_token"


def test_a_key_that_may_not_chat_leaves_nothing_to_own_up_to(old_bench):
    run = old_bench.ask("hi", old_bench.target("file"))
    assert (run.reason, run.stays, run.cleanup_failures) == ("forbidden", (), ())
