"""One run: deadlines, cleanup that always happens, and verdicts for what should not happen."""

import asyncio
import json
import sys

import pytest

from astrometer.api.outcome import Outcome
from astrometer.probing.context import Context
from astrometer.probing.runner import Runner
from astrometer.probing.verdict import NotApplicable, ProbeFailed, Verdict


async def passing(_ctx: Context) -> Verdict:
    return Verdict.passed()


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
    assert run.detail.startswith("ValueError at test_execution.py:")
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
        (is_cancelled, "CancelledError at test_execution.py:"),
        (exits, "SystemExit at test_execution.py:"),
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


def test_a_server_that_echoes_the_key_cannot_make_us_print_it(bench):
    secret = bench.store.keys["all"].secret
    run = bench.ask(f"[[say={secret}]]")
    assert run.reason == "canary_mismatch"
    shown = json.dumps([run.detail, run.note, [line.text for line in run.log]])
    assert secret not in shown
    assert "***" in shown


def test_a_whole_run_without_a_first_token_is_named_so(bench):
    run = bench.ask("[[stall=0]]", total_s=0.8)
    assert run.reason == "timeout_first_token"
