"""The probe `im_chat` and the link check of `im`, against the simulator's messenger: each fault by name."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from onebot_client import OneBotTestClient
from prometheus_client import CollectorRegistry

from astrometer import bundled
from astrometer.config.settings import Key, Secret, Target, TargetMessenger
from astrometer.probing.exporter.metrics import ProbeMetrics
from astrometer.probing.exporter.series import Series
from astrometer.probing.plan import Plan
from astrometer.probing.probe_files import load_folder
from astrometer.probing.run_record import Limits
from astrometer.probing.runner import Runner
from astrometer.probing.verdict import ProbeRun
from astrometer.targets.script import ModelScript
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import MessengerConfig, SimulatorConfig

OURS = load_folder(bundled.folder("probes")).probes
TOKEN = "a-token-of-the-adapter"


class MessengerBench:
    """A simulator with a messenger, and a target that points at both."""

    def __init__(self, simulator: Simulator, url: str) -> None:
        self.simulator = simulator
        self.store = simulator.store
        self.url = url
        assert simulator.messenger is not None
        self.adapter = simulator.messenger

    def target(self, token: str = TOKEN, url: str | None = None) -> Target:
        key = Key(name="im", secret=Secret(self.store.keys["im"].secret))
        messenger = TargetMessenger(url=url or self.adapter.url, token=Secret(token))
        return Target(name="sim", url=self.url, keys={"im": key}, messenger=messenger)

    def run(self, target: Target | None = None, *, total_s: float = 12.0, **options: object) -> ProbeRun:
        return self.run_probe("im_chat", target, total_s=total_s, **{"quiet_s": 0.6, **options})

    def run_probe(
        self, name: str, target: Target | None = None, *, total_s: float = 12.0, **options: object
    ) -> ProbeRun:
        plan = Plan(
            target=target or self.target(), probe=OURS[name], limits=Limits(total_s=total_s), options=options
        )
        return asyncio.run(Runner().run(plan))

    def break_(self, kind: str, **fields: object) -> None:
        told = {"kind": kind, "count": 1, "endpoint": "messenger", **fields}
        answer = httpx.post(f"{self.url}/sim/faults", json=told)
        assert answer.status_code == 200, answer.text


@pytest.fixture
def messenger() -> Iterator[MessengerBench]:
    config = SimulatorConfig(
        model=ModelScript(ttft_s=0.05, gap_s=0.005, tokens=5),
        messenger=MessengerConfig(token=TOKEN, ack_timeout_s=1.0),
    )
    simulator = Simulator(config)
    with serve(simulator) as url:
        yield MessengerBench(simulator, url)


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
    assert "has no messenger: set targets.sim.messenger" in run.note


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
    metrics.record(messenger.run())
    metrics.record(messenger.run(question="[[canary=wrong]] {nonce}"))
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


def test_the_link_check_of_an_adapter_that_does_not_exist_fails(messenger):
    absent = messenger.run_probe("im", adapters=["nobody"])
    assert (absent.reason, "nobody: Bot not found" in absent.detail) == ("client_error", True)
