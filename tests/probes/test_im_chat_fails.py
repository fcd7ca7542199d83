"""The probe `im_chat` and the link check of `im`, against the simulator's messenger: each fault by name."""

import asyncio
from dataclasses import replace

import httpx
import pytest
from messenger_bench import OURS, TOKEN
from onebot_client import OneBotTestClient
from prometheus_client import CollectorRegistry
from waiting import until

from astrometer.probing.exporter.metrics import ProbeMetrics
from astrometer.probing.exporter.series import Series
from astrometer.probing.plan import Plan
from astrometer.probing.run_record import Limits
from astrometer.probing.runner import Runner
from astrometer.probing.verdict import ProbeRun


def test_a_healthy_messenger_passes_with_the_time_of_its_reply(messenger):
    run = messenger.run()
    (turn,) = run.im_turns
    assert (run.reason, turn.outcome.value, turn.messages) == ("ok", "ok", 1)
    assert 0.05 < turn.reply_first_s < 1.0
    assert run.duration_s < 2.0  # neither /reset nor the wait for more is part of it
    assert set(run.phases) == {"resolve", "connect"}


def test_each_run_leaves_before_the_next_comes_and_asks_as_another(messenger):
    first, second = messenger.run(), messenger.run()
    assert (first.reason, second.reason) == ("ok", "ok")
    assert first.im_turns[0].user_id != second.im_turns[0].user_id
    assert messenger.simulator.messenger.counters["im_connections"] == 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("silence", "silent"),
        ("zombie", "silent"),
        ("duplicate", "duplicated"),
        ("agent_error", "agent_error"),
        ("blocked", "blocked"),
        ("lost_link", "lost_link"),
        ("adapter_shutdown", "lost_link"),
        ("killed", "lost_link"),
    ],
)
def test_each_fault_has_its_reason(messenger, fault, reason):
    messenger.break_(fault)
    broken = messenger.run(total_s=3.0, reset=False)
    assert broken.reason == reason, broken


def test_silence_says_how_long_it_lasted_and_ends_in_time(messenger):
    messenger.break_("silence")
    silent = messenger.run(total_s=2.0, reset=False)
    assert silent.detail.startswith("no reply in 2.0 s")
    assert silent.duration_s < 3.0


def test_an_answer_to_somebody_else_is_misrouted(messenger):
    with OneBotTestClient(messenger.adapter.url, TOKEN) as other:
        other.private(7001, "[sim:misrouted:10] [[ttft=0 tokens=1]]")  # waits for another's
        swapped = messenger.run(question="[sim:misrouted:10] {nonce}", total_s=5.0, reset=False)
        assert (swapped.reason, len(other.wait())) == ("misrouted", 1), swapped


@pytest.mark.parametrize("fault", ["adapter_shutdown", "killed"])
def test_an_adapter_that_comes_back_is_asked_again_by_the_next_run(messenger, fault):
    messenger.break_(fault, value=0.5)
    assert messenger.run(reset=False).reason == "lost_link"
    assert messenger.run(reset=False).reason in ("connect", "ok")  # gone for half a second
    until(lambda: messenger.adapter.is_open)
    assert [messenger.run().reason for _ in range(3)] == ["ok"] * 3


def test_a_zombie_of_one_run_does_not_outlive_it(messenger):
    messenger.break_("zombie")
    assert messenger.run(total_s=2.0, reset=False).reason == "silent"
    assert messenger.run(user_ids=[9100000001]).reason == "ok"


def test_a_late_acknowledgement_is_no_failure(messenger):
    messenger.break_("late_ack", value=0.5)
    assert messenger.run().reason == "ok"


@pytest.mark.parametrize(("token", "reason"), [("wrong", "forbidden"), ("", "unauthorized")])
def test_a_wrong_token_is_named_with_its_cure_and_not_shown(messenger, token, reason):
    refused = messenger.run(messenger.target(token=token))
    assert refused.reason == reason
    assert "ASTRBOT_MESSENGER_TOKEN" in refused.detail
    assert TOKEN not in repr(refused)


def test_an_adapter_that_is_switched_off_is_connect(messenger):
    httpx.post(f"{messenger.url}/sim/messenger", json={"adapter": "off"}).raise_for_status()
    assert messenger.run().reason == "connect"


def test_a_wrong_word_is_a_canary_mismatch(messenger):
    assert messenger.run(question="[[canary=wrong]] {nonce}").reason == "canary_mismatch"


def test_a_late_reply_is_slow(messenger):
    late = messenger.run(question="[[ttft=0.5]] {nonce}", slow_after_s=0.1)
    assert late.reason == "slow"


def test_commands_that_are_switched_off_are_told_of(messenger):
    settings = {"settings": ["disable_builtin_commands=on"]}
    httpx.post(f"{messenger.url}/sim/messenger", json=settings).raise_for_status()
    run = messenger.run()
    assert (run.reason, "commands switched off" in run.note) == ("ok", True)


def test_a_target_without_a_messenger_is_not_asked_and_says_why(messenger):
    run = messenger.run(replace(messenger.target(), messenger=None))
    assert run.verdict is None
    assert "has no messenger: make an adapter for the probe with `astrometer messenger setup`" in run.note


def test_the_reply_time_is_a_sample_of_its_own_and_a_failure_none(messenger):
    registry = CollectorRegistry()
    metrics = ProbeMetrics(registry)
    place = {"target": "sim", "probe": "im_chat"}

    def counted(name: str) -> float | None:
        return registry.get_sample_value(f"astrbot_probe_{name}", place)

    plan = Plan(target=messenger.target(), probe=OURS["im_chat"])
    Series(metrics).declare([plan])
    assert counted("time_to_first_reply_seconds_count") == 0
    assert counted("time_to_first_token_seconds_count") is None
    metrics.observe(messenger.run())
    metrics.observe(messenger.run(question="[[canary=wrong]] {nonce}"))
    assert counted("time_to_first_reply_seconds_count") == 1
    assert 0.05 < counted("time_to_first_reply_seconds_sum") < 1.0
    assert (
        counted("runs_total"),
        registry.get_sample_value("astrbot_probe_failures_total", {**place, "reason": "canary_mismatch"}),
    ) == (2, 1)


def test_a_run_that_is_told_to_stop_leaves_the_messenger_in_order(messenger):
    async def cut() -> ProbeRun:
        runner = Runner()
        plan = Plan(
            target=messenger.target(),
            probe=OURS["im_chat"],
            limits=Limits(total_s=20.0),
            options={"question": "[[ttft=10]] {nonce}", "reset": False},
        )
        running = asyncio.create_task(runner.run(plan))
        async with asyncio.timeout(10):
            while not messenger.adapter.counters["im_questions"]:
                await asyncio.sleep(0.02)
            runner.cut()
            return await running

    assert asyncio.run(cut()).reason == "client_cancel"
    assert messenger.run().reason == "ok"


def test_the_link_check_tells_a_client_from_none_and_sends_nobody_anything(messenger):
    alone = messenger.run_probe("im", adapters=["messenger"])
    assert (alone.reason, alone.detail.split(":")[0]) == ("lost_link", "messenger")

    def nobody_there(_action):
        return {"status": "failed", "retcode": 1404, "data": None, "message": "no such user"}

    with OneBotTestClient(messenger.adapter.url, TOKEN, answer=nobody_there):
        assert messenger.run_probe("im", adapters=["messenger"]).reason == "ok"
    assert messenger.run_probe("im").reason == "ok"


def test_the_link_check_tells_an_adapter_that_is_off_or_has_another_name(messenger):
    absent = messenger.run_probe("im", adapters=["nobody"])
    assert (absent.reason, "nobody: AstrBot runs no such adapter" in absent.detail) == ("lost_link", True)
    httpx.post(f"{messenger.url}/sim/messenger", json={"adapter": "off"}).raise_for_status()
    off = messenger.run_probe("im", adapters=["messenger"])
    assert (off.reason, "messenger: AstrBot runs no such adapter" in off.detail) == ("lost_link", True)


def test_the_link_check_tells_a_zombie_from_a_client(messenger):
    with OneBotTestClient(messenger.adapter.url, TOKEN) as first:
        assert messenger.run_probe("im", adapters=["messenger"]).reason == "ok"
        with OneBotTestClient(messenger.adapter.url, TOKEN):
            first.socket.close()
            zombie = messenger.run_probe("im", adapters=["messenger"])
    assert (zombie.reason, "connected twice" in zombie.detail) == ("lost_link", True)


def test_a_messenger_that_hangs_is_a_lost_link_and_not_a_slow_server(messenger):
    messenger.adapter.calls.timeout_s = 30.0
    with OneBotTestClient(messenger.adapter.url, TOKEN, answer=lambda _action: None):
        hangs = messenger.run_probe("im", total_s=2.0, adapters=["messenger"])
    assert (hangs.reason, "the messenger does not answer" in hangs.detail) == ("lost_link", True)
