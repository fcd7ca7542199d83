"""Faults of a real AstrBot and of the model behind it, each under its own reason."""

import asyncio
import os
import signal
from types import MappingProxyType

import pytest

from astrometer.config import Key, Secret, Target
from astrometer.probing.files import Probe
from astrometer.probing.probe import Context, Limits, Verdict
from astrometer.probing.runner import Plan, Runner
from astrometer.probing.verdict import Run

pytestmark = [pytest.mark.astrbot, pytest.mark.timeout(300)]


@pytest.fixture(params=["4.18.0", "latest"])
def box(real_astrbot, request):
    return real_astrbot(request.param)


def ask(box, message: str, *, key: str = "all", kill_after_s: float | None = None, **limits: float) -> Run:
    async def probe(ctx: Context) -> Verdict:
        return Verdict.of(await ctx.chat(f"[q] {message} {ctx.nonce}", canary=ctx.nonce))

    asked = Probe(
        name=f"fault-{os.urandom(3).hex()}",  # a session of its own: a stalled one stays blocked on 4.18
        function=probe,
        interval_s=60,
        scopes=(),
        costs_tokens=True,
        summary="",
    )
    keys = MappingProxyType({"k": Key(name="k", secret=Secret(box.keys[key]))})
    target = Target(name="real", url=box.url, keys=keys)
    plan = Plan(target=target, probe=asked, limits=Limits(**{"total_s": 40.0, "cleanup_s": 5.0, **limits}))

    async def go() -> Run:
        run = asyncio.create_task(Runner().run(plan))
        if kill_after_s is not None:
            await asyncio.sleep(kill_after_s)
            box.kill(signal.SIGKILL)
        return await run

    return asyncio.run(go())


@pytest.mark.parametrize(
    ("message", "reason"),
    [("hi", "ok"), ("[[fail=500]]", "llm_error"), ("[[canary=wrong]]", "canary_mismatch")],
)
def test_what_the_model_does(box, message, reason):
    assert ask(box, message).reason == reason


def test_a_model_that_never_starts(box):
    run = ask(box, "[[stall=0]]", first_token_s=2.5)
    assert run.reason == "timeout_first_token"
    assert run.duration_s == pytest.approx(2.5, abs=0.5)


def test_a_model_that_stops_talking(box):
    run = ask(box, "[[stall=3]]", idle_s=2.5)
    assert run.reason == "stalled"
    assert run.ttft_s is not None


@pytest.mark.parametrize(
    ("key", "reason"), [("revoked", "unauthorized"), ("expired", "unauthorized"), ("file", "forbidden")]
)
def test_a_key_that_is_bad_or_lacks_the_scope(box, key, reason):
    assert ask(box, "hi", key=key).reason == reason


def test_a_server_killed_in_mid_answer_and_then_gone(box):
    try:
        run = ask(box, "[[ttft=0.1 gap=0.1 tokens=100]]", kill_after_s=4)
        assert run.reason == "reset"
        assert run.ttft_s is not None
        assert ask(box, "hi").reason == "connect"
    finally:
        box.restart()
    assert ask(box, "hi").reason == "ok"
