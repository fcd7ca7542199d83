"""The simulator as an instrument: its stamps, its schedule, its accounts, its versions, its command."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest
from click.testing import CliRunner

from astrometer.cli.sim import command
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import SimulatedRateLimit, SimulatorConfig
from astrometer.targets.simulator.version_traits import UnknownVersion, Wire


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return Simulator(SimulatorConfig(rate_limit=SimulatedRateLimit(strategy="off")))


@pytest.fixture(scope="module")
def url(simulator: Simulator) -> Iterator[str]:
    with serve(simulator) as base:
        yield base


def events(url: str, simulator: Simulator, message: str) -> Iterator[tuple[int, dict]]:
    """Each event with the time it was read at, in nanoseconds."""
    headers = {"X-API-Key": simulator.config.keys["chat"].secret}
    body = {"username": "u", "message": message}
    with httpx.stream("POST", f"{url}/api/v1/chat", headers=headers, json=body) as response:
        for line in response.iter_lines():
            if line.startswith("data: "):
                yield time.perf_counter_ns(), json.loads(line[6:])


def test_each_event_says_when_it_was_sent(url: str, simulator: Simulator) -> None:
    read = list(events(url, simulator, "[[ttft=0.1 gap=0.02 tokens=20]]"))
    delays_ms = sorted((t - event["_sent_ns"]) / 1e6 for t, event in read)
    assert delays_ms[0] >= 0
    assert delays_ms[len(delays_ms) // 2] < 20


def test_tokens_keep_to_an_absolute_schedule(url: str, simulator: Simulator) -> None:
    sent = [
        event["_sent_ns"]
        for _, event in events(url, simulator, "[[ttft=0.1 gap=0.01 tokens=101]]")
        if event["type"] == "plain"
    ]
    # 100 gaps of 10 ms: with a drift of 0.2 ms each it would be 20 ms late at the end.
    assert abs((sent[-1] - sent[0]) / 1e9 - 1.0) < 0.018


def test_the_stamp_can_be_left_out() -> None:
    plain = Simulator(SimulatorConfig(stamp=False))
    with serve(plain) as url:
        assert all("_sent_ns" not in event for _, event in events(url, plain, "[[ttft=0 tokens=1]]"))


def test_every_chat_is_accounted_for(url: str, simulator: Simulator) -> None:
    before = httpx.get(f"{url}/sim/stats").json()
    for _ in range(3):
        list(events(url, simulator, "[[ttft=0 gap=0 tokens=2]]"))
    after = httpx.get(f"{url}/sim/stats").json()
    grown = {name: after[name] - before[name] for name in after if isinstance(after[name], int)}
    assert grown["chats_started"] == grown["chats_finished"] == grown["model_asked"] == 3
    assert grown["messages_user"] == grown["messages_bot"] == grown["sessions"] == 3
    assert after["chats_in_flight"] == 0


def test_fifty_streams_of_fifty_events_a_second_are_kept_up(url: str, simulator: Simulator) -> None:
    headers = {"X-API-Key": simulator.config.keys["chat"].secret}
    stamps: list[list[int]] = []

    async def one(client: httpx.AsyncClient, number: int) -> None:
        body = {"username": f"u{number}", "message": "[[ttft=0.5 gap=0.02 tokens=100]]"}
        answer = await client.post(f"{url}/api/v1/chat", headers=headers, json=body)
        sent = [json.loads(block[6:]) for block in answer.text.split("\n\n") if '"plain"' in block]
        stamps.append([event["_sent_ns"] for event in sent])

    async def all_of_them() -> None:
        async with httpx.AsyncClient(timeout=30) as client:
            await asyncio.gather(*(one(client, number) for number in range(50)))

    asyncio.run(all_of_them())
    assert [len(times) for times in stamps] == [100] * 50
    took_s = sorted((times[-1] - times[0]) / 1e9 for times in stamps)
    assert took_s[25] < 1.98 * 1.25  # client and server share this process, so this is generous


@pytest.mark.parametrize("text", ["4.17.9", "5.0.0", "newest", "4.18"])
def test_a_version_that_was_not_measured_is_refused(text: str) -> None:
    with pytest.raises(UnknownVersion):
        Wire.of(text)


@pytest.mark.parametrize("text", ["30", "0/60", "30/60:wait", "x/y", "30/0"])
def test_a_rate_limit_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"COUNT/SECONDS\[:stall\|discard\] or off expected"):
        SimulatedRateLimit.parse(text)


def test_two_starts_have_different_keys() -> None:
    first, second = SimulatorConfig(), SimulatorConfig()
    assert first.keys["all"].secret != second.keys["all"].secret
    assert first.keys["all"].secret not in repr(first)


@pytest.mark.process
def test_the_command_prints_how_to_reach_it_and_ends_on_a_signal() -> None:
    argv = [
        "sim",
        "--json",
        "--version",
        "4.18.0",
        "--ttft",
        "50ms",
        "--tokens",
        "2",
        "--key",
        "mine=im,config",
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", "from astrometer.cli import main; main()", *argv],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert set(told["keys"]) == {"chat", "config", "file", "im", "all", "revoked", "expired", "mine"}
        assert (told["version"], told["stop"]) == ("4.18.0", f"kill {process.pid}")
        answer = httpx.get(f"{told['url']}/api/v1/configs", headers={"X-API-Key": told["keys"]["mine"]})
        assert answer.status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--version", "4.17.0"], "the simulator knows 4.18.0 to 4.29.x"),
        (["--fault", "rain=0.1"], "unknown kind 'rain'"),
        (["--fault", "cut=x"], "KIND=RATE expected"),
        (["--key", "a=chat,rain"], "unknown scope rain"),
        (["--rate-limit", "many"], "COUNT/SECONDS"),
        (["--ttft", "soon"], "not a duration"),
    ],
)
def test_a_wrong_option_is_a_usage_error_with_the_cure(argv: list[str], words: str) -> None:
    result = CliRunner().invoke(command, argv)
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())
