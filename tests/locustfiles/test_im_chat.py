"""People of a messenger under Locust, against the simulator's adapter: every question has one outcome."""

import subprocess
import sys
from contextlib import ExitStack

import httpx
import pytest
from locust_runs import Sim
from workloads import a_workload

from astrometer.load.workload.workload_file import write
from astrometer.targets.messenger.messenger_profile import MessengerProfile
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import (
    MessengerConfig,
    SimulatedRateLimit,
    SimulatorConfig,
)

pytestmark = pytest.mark.process
FAST = ("--prompt-suffix", "[[ttft=0.05 gap=0.01 tokens=5]]", "--stop-timeout", "10")
GROUP = """
from locust import constant, task
from astrometer.load import MessengerUser

class Member(MessengerUser):
    wait_time = constant(0)

    @task
    def ask(self):
        self.write_in_group(self.prompt())
"""


class Messenger(Sim):
    """A simulator with an adapter, and Locust runs of people who write to it."""

    def environment(self, key=None):
        return {**super().environment(key), "ASTRBOT_MESSENGER_TOKEN": self.app.messenger.token}

    def people(self, *options, out, scenario="im_chat", seconds=4, users=12, quiet="0s"):
        words = ("--messenger", self.app.messenger.url, "--reply-quiet", quiet, *FAST, *options)
        return self.locust(scenario, *words, out=out, seconds=seconds, users=users)

    def fault(self, **plan):
        httpx.post(f"{self.url}/sim/faults", json={"endpoint": "messenger", **plan}).raise_for_status()

    def asked(self):
        return httpx.get(f"{self.url}/sim/stats").json()["model_asked"]


@pytest.fixture
def make_messenger():
    with ExitStack() as stack:

        def start(version="4.29.3", profile=None):
            config = SimulatorConfig(
                version=version,
                rate_limit=SimulatedRateLimit(strategy="off"),
                messenger=MessengerConfig(profile=profile or MessengerProfile(), ack_timeout_s=2),
            )
            app = Simulator(config)
            return Messenger(url=stack.enter_context(serve(app)), app=app)

        yield start


@pytest.fixture
def messenger(make_messenger):
    return make_messenger()


def test_people_alone_and_in_groups_are_answered_and_all_are_accounted_for(messenger, tmp_path):
    results, _ = messenger.people(out=tmp_path)
    turns, seen = results["turns"], results["messenger"]
    assert turns["outcomes"] == {"ok": turns["started"]}
    assert messenger.asked() == turns["started"] == seen["replies"] == seen["messages"] > 10
    assert seen["matched_by"] == {"quote": turns["started"]}
    assert seen["link"] == {}
    assert results["metrics"]["reply_first"]["n"] == turns["started"]
    assert results["metrics"]["reply_last"]["p50"] >= 0.09  # 0.05 and four gaps of 0.01


def test_each_load_process_is_a_messenger_of_its_own(messenger, tmp_path):
    results, _ = messenger.people("--processes", "2", out=tmp_path)
    assert results["turns"]["outcomes"] == {"ok": results["turns"]["started"]}
    assert results["messenger"]["matched_by"] == {"quote": results["turns"]["started"]}


def test_chats_can_be_asked_there_and_each_session_is_a_person_of_its_own(messenger, tmp_path):
    results, _ = messenger.people("--transport", "messenger", scenario="chat", out=tmp_path)
    turns = results["turns"]
    assert turns["outcomes"] == {"ok": turns["started"]}
    assert messenger.asked() == turns["started"] == results["messenger"]["replies"] > 10
    assert {item["operation"] for item in results["operations"]} == {"im_chat"}
    assert results["scenarios"].keys() == {"chat"}
    assert results["metrics"]["reply_last"]["n"] == turns["started"]
    assert results["metrics"].keys().isdisjoint({"e2e", "ttft"})


def test_chats_in_a_messenger_that_cannot_start_are_dropped_questions(messenger, tmp_path):
    words = ("--transport", "messenger", "--rate-unit", "1", "--max-in-flight", "1")
    results, _ = messenger.people(*words, scenario="chat", out=tmp_path)
    turns = results["turns"]
    assert turns["outcomes"].keys() == {"ok", "dropped"}
    assert {item["operation"] for item in results["operations"]} == {"im_chat"}


def test_two_processes_at_one_adapter_are_refused_where_astrbot_would_lose_the_answers(messenger, tmp_path):
    words = ("--messenger", messenger.app.messenger.url, "--processes", "2", "--target-version", "4.25.6")
    command = messenger.command("im_chat", *words, "--astrometer-out", str(tmp_path))
    environment = messenger.environment()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "2 load processes would share one messenger adapter" in done.stderr
    assert "give an adapter to each process" in done.stderr
    assert messenger.asked() == 0


def test_the_command_refuses_it_too_and_asks_the_server_for_its_version(make_messenger, tmp_path):
    messenger = make_messenger("4.25.6")
    words = (
        "load",
        "im_chat",
        "--host",
        messenger.url,
        "--messenger",
        messenger.app.messenger.url,
        "-t",
        "2s",
    )
    done = subprocess.run(
        [sys.executable, "-m", "astrometer", *words, "--processes", "2", "--out", str(tmp_path / "out")],
        env=messenger.environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "up to 4.25 AstrBot loses every answer" in done.stderr


def test_the_people_of_a_group_wait_for_each_other(messenger, tmp_path):
    file = tmp_path / "group.py"
    file.write_text(GROUP)
    results, _ = messenger.people(out=tmp_path, scenario=str(file), users=5)
    queue, waits = results["messenger"]["queue"], results["metrics"]["queue_wait"]
    assert results["turns"]["outcomes"] == {"ok": results["turns"]["started"]}
    assert queue["waited"] == waits["n"] > 10
    assert queue["not_told"] == 0
    assert waits["max"] >= 3 * 0.09  # behind three and more answers
    assert waits["max"] < results["metrics"]["reply_first"]["max"]


def test_the_model_says_how_many_requests_it_had(messenger, tmp_path):
    results, _ = messenger.people("--model-status", f"{messenger.url}/sim/stats", out=tmp_path)
    limit = results["provider_limit"]
    assert limit["model_most"] is not None
    assert 0 < limit["turns_most"] <= 12
    assert limit["reached"] is None


def test_a_mixed_run_has_people_in_the_messenger(messenger, tmp_path):
    results, _ = messenger.people(out=tmp_path, scenario="mixed", users=16, seconds=6)
    assert results["turns"]["outcomes"] == {"ok": results["turns"]["started"]}
    assert {"chat", "reads", "im_chat"} <= set(results["scenarios"])


def test_arrivals_of_an_open_model_are_each_a_question(messenger, tmp_path):
    results, _ = messenger.people("--rate-unit", "1", "--arrivals", "constant", out=tmp_path)
    started = results["turns"]["started"]
    assert results["turns"]["outcomes"] == {"ok": started}
    assert started >= results["arrivals"]["intended"] > 30  # a conversation has more than one question
    assert results["metrics"]["reply_first_effective"]["n"] == started
    assert results["metrics"]["schedule_lag"]["n"] == results["arrivals"]["intended"]


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("silence", "silent"),
        ("duplicate", "duplicated"),
        ("agent_error", "agent_error"),
        ("blocked", "blocked"),
    ],
)
def test_what_goes_wrong_has_its_name(messenger, tmp_path, fault, outcome):
    messenger.fault(kind=fault, rate=1.0)
    results, _ = messenger.people("--first-token-timeout", "1s", out=tmp_path, quiet="300ms")
    assert results["turns"]["outcomes"] == {outcome: results["turns"]["started"]}


ALONE = """
from locust import constant, task
from astrometer.load import MessengerUser

class Alone(MessengerUser):
    scenario = "alone"
    wait_time = constant(0)

    @task
    def ask(self):
        self.write(self.prompt())
"""


def test_an_answer_is_over_after_the_quiet_time_when_nobody_else_writes_meanwhile(messenger, tmp_path):
    """And not when the deadline of its question passes, a minute later."""
    file = tmp_path / "alone.py"
    file.write_text(ALONE)
    results, _ = messenger.people(scenario=str(file), out=tmp_path / "out", users=1, quiet="200ms")
    assert results["turns"]["outcomes"] == {"ok": results["turns"]["started"]}
    assert results["turns"]["started"] > 4  # in 4 s, one each 0.3 s


def test_a_link_that_breaks_is_made_again_and_no_question_is_asked_twice(messenger, tmp_path):
    messenger.fault(kind="lost_link", count=1)
    results, _ = messenger.people(out=tmp_path, seconds=6)
    turns = results["turns"]
    assert results["messenger"]["link"]["links_lost"] == 1
    assert turns["outcomes"]["ok"] > 2
    assert set(turns["outcomes"]) == {"ok", "lost_link"}
    assert sum(turns["outcomes"].values()) == turns["started"] >= messenger.asked()


def test_an_answer_in_parts_is_said_to_be_one(make_messenger, tmp_path):
    messenger = make_messenger()
    messenger.fault(kind="parts", rate=1.0, value=3)
    results, _ = messenger.people(out=tmp_path, quiet="3s", seconds=3, users=4)
    seen = results["messenger"]
    assert seen["segmented"] == seen["replies"] == results["turns"]["started"]
    assert seen["messages"] == 3 * seen["replies"]
    assert results["metrics"]["reply_last"]["max"] > results["metrics"]["reply_first"]["max"]


def test_a_wrong_token_is_named_and_nothing_hangs(messenger, tmp_path):
    right = messenger.environment
    messenger.environment = lambda key=None: {**right(key), "ASTRBOT_MESSENGER_TOKEN": "wrong"}
    results, _ = messenger.people(out=tmp_path, seconds=3, users=2)
    assert set(results["turns"]["outcomes"]) == {"lost_link"}


@pytest.mark.parametrize(
    ("given", "token", "said"),
    [
        ((), "", "--messenger ws://HOST:PORT/ws"),
        (("--messenger", "http://bot/ws"), "", "--messenger: the messenger's URL is ws://HOST:PORT/ws"),
        (("--messenger", "ws://bot:1/ws"), "a token", "ASTRBOT_MESSENGER_TOKEN: not a token"),
    ],
)
@pytest.mark.parametrize("scenario", [("im_chat",), ("chat", "--transport", "messenger")], ids=len)
def test_what_cannot_be_used_is_said_before_anybody_writes(sim, tmp_path, scenario, given, token, said):
    command = sim.command(*scenario, *given, "--astrometer-out", str(tmp_path))
    environment = {**sim.environment(), **({"ASTRBOT_MESSENGER_TOKEN": token} if token else {})}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_mix_has_the_rate_of_turns_from_its_first_second(messenger, tmp_path):
    """Pauses are longer than the run: without conversations under way there would be first turns alone."""
    file = tmp_path / "w.toml"
    file.write_text(write(a_workload(turns=(6.0,), pause_s=(30.0,), per_s=12.0)))
    # Ten of sixteen users chat or write: 20 users stand for 3.2 arrivals, 2 of them conversations of 6 turns.
    weights = ("--chat-weight", "5", "--im-chat-weight", "5", "--upload-weight", "2", "--im-weight", "2")
    results, _ = messenger.people(
        "--workload", str(file), "--rate-unit", "0.2", *weights, out=tmp_path, scenario="mixed", seconds=8,
        users=16,
    )  # fmt: skip
    turns = {name: results["scenarios"][name]["turns"]["started"] for name in ("chat", "im_chat")}
    assert 60 <= sum(turns.values()) <= 140  # 96; conversations that begin have 16 first turns
    assert min(turns.values()) > 20
    assert results["workload"]["share"] == pytest.approx(10 / 16)
    assert results["workload"]["scale"] == pytest.approx(1.0)
    assert results["turns"]["outcomes"].get("cutoff", 0) == 0  # nobody who pauses is waited for
