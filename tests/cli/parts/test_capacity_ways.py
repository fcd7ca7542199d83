"""`astrometer capacity --ways`: what is refused before anything runs, and three ways of a simulator."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from click.testing import CliRunner
from waiting import until

from astrometer.cli import main
from astrometer.targets.messenger.messenger_profile import MessengerProfile
from astrometer.targets.script import ModelScript
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import (
    MessengerConfig,
    SimulatedRateLimit,
    SimulatorConfig,
)

ASTROMETER = (sys.executable, "-c", "from astrometer.cli import main; main()")
SHORT = ("--max", "2", "--step-time", "1s", "--settle", "0s", "--repeats", "1", "--precision", "50%")
SLO = ("--slo", "e2e_max < 20s", "--slo", "errors < 1%")
ASKER = """
from locust import constant, task
from astrometer.load import ChatUser

class Asker(ChatUser):
    scenario = "chat"
    wait_time = constant(0.1)
    @task
    def ask_one_thing(self): self.ask(self.prompt())
"""


def invoke(*words, **env):
    given = {"ASTRBOT_API_KEY": "abk-x", "ASTRBOT_MESSENGER_URL": None, **env}
    words = ("capacity", "chat", "--host", "http://127.0.0.1:9", *words)
    return CliRunner().invoke(main, words, env=given)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--ways", "sse", *SLO), "--ways: at least two ways"),
        (("--ways", "sse,wss", *SLO), 'did you mean "ws"?'),
        (("--ways", "sse,messenger", "--slo", "ttft_p95 < 2s"), "ttft cannot be compared with it"),
        (("--ways", "sse,ws", *SLO, "--transport", "ws"), "--transport cannot be combined with --ways"),
        (("--ways", "sse,ws", *SLO, "--web"), "--web cannot be combined with --ways"),
        (("--ways", "sse,ws", *SLO, "--shape", "1:5s"), "--shape cannot be used here"),
        (("--ways", "sse,ws"), "a capacity search needs an objective"),
    ],
)
def test_what_cannot_be_compared_is_a_usage_error(words, complaint):
    done = invoke(*words)
    assert (done.exit_code, complaint in " ".join(done.output.split())) == (2, True), done.output


def test_a_dry_run_shows_the_search_of_each_way_in_its_own_words():
    done = invoke(
        "--ways", "sse,messenger", "--slo", "e2e_p95 < 3s", "--messenger", "ws://bot:1/ws", "--dry-run"
    )
    sse, messenger, _ = done.output.splitlines()
    assert "--transport sse" in sse
    assert "--slo 'e2e_p95 < 3s'" in sse
    assert "--transport messenger" in messenger
    assert "--slo 'reply_last_p95 < 3s'" in messenger


@contextmanager
def simulator(version="4.29.3", **options):
    """And the environment of a client of it."""
    app = Simulator(
        SimulatorConfig(
            version=version,
            rate_limit=SimulatedRateLimit(strategy="off"),
            model=ModelScript(ttft_s=0.05, gap_s=0.0, tokens=2),
            messenger=MessengerConfig(profile=MessengerProfile()),
            **options,
        )
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ASTR", "LOCUST"))}
    with serve(app) as url:
        yield app, url, {
            **clean,
            "ASTROMETER_STATE": os.environ.get("ASTROMETER_STATE", ""),
            "ASTRBOT_API_KEY": app.config.keys["all"].secret,
            "ASTRBOT_MESSENGER_URL": app.messenger.url,
            "ASTRBOT_MESSENGER_TOKEN": app.messenger.token,
        }  # fmt: skip


def command(scenario, url, out, *more):
    return [*ASTROMETER, "capacity", str(scenario), "--host", url, "--out", str(out), *SLO, *SHORT, *more]


def run(words, environment):
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=180, check=False)


@pytest.fixture
def asker(tmp_path):
    file = tmp_path / "asker.py"
    file.write_text(ASKER)
    return file


@pytest.mark.process
def test_three_ways_of_one_server_in_one_command(asker, tmp_path):
    out = tmp_path / "out"
    with simulator() as (_, url, environment):
        words = ("--ways", "sse,ws,messenger", "--rounds", "1", "--reply-quiet", "0s")
        done = run(
            command(asker, url, out, *words, "--server-pid", str(os.getpid())),
            {**environment, "ASTROMETER_STATE": str(tmp_path / "state")},
        )
    assert "searches: 3, in this order: sse, ws, messenger" in done.stderr
    told, said = json.loads((out / "ways.json").read_text()), " ".join(done.stdout.split())
    assert {file.name for file in out.iterdir()} == {"sse", "ws", "messenger", "ways.json", "summary.md"}
    each = [json.loads((out / way["way"] / "1" / "results.json").read_text()) for way in told["ways"]]
    assert [set(results["turns"]["outcomes"]) for results in each] == [{"ok"}] * 3
    assert [results["objectives"][0]["text"] for results in each] == [
        "e2e_max < 20s", "e2e_max < 20s", "reply_last_max < 20s",
    ]  # fmt: skip
    assert [results["target"]["kind"] for results in each] == ["simulator"] * 3
    used = [way["searches"][0]["server_cpu_s"] for way in told["ways"]]
    assert used == [results["server"]["cpu_s"] for results in each]
    assert all(seconds > 0 for seconds in used)
    assert [operation["operation"] for results in each for operation in results["operations"]] == [
        "chat", "chat", "im_chat",
    ]  # fmt: skip
    if all(results["verdict"] == "PASS" for results in each):  # this machine kept up
        assert done.returncode == 0
        assert [way["searches"][0]["end"] for way in told["ways"]] == ["maximum"] * 3
        assert [way["searches"][0]["highest_passing"] for way in told["ways"]] == [2, 2, 2]
        assert "What the server holds: sse at least 1, ws at least 1, messenger at least 1." in said
    else:
        assert done.returncode == 3


@pytest.mark.process
def test_ctrl_c_ends_the_search_that_runs_and_shows_what_is_known(asker, tmp_path):
    out = tmp_path / "out"
    with simulator() as (_, url, environment):
        words = command(asker, url, out, "--ways", "sse,ws", "--step-time", "60s")
        started = subprocess.Popen(
            words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            log = out / "sse" / "1" / "locust.log"
            until(lambda: log.exists() and "Ramping" in log.read_text())
            started.send_signal(signal.SIGINT)
            stdout, stderr = started.communicate(timeout=60)
        finally:
            started.kill()
    assert started.returncode == 130, stderr
    told = json.loads((out / "ways.json").read_text())
    assert (told["interrupted"], told["order"]) == (True, ["sse/1"])
    assert "Interrupted; so far: sse not known, ws not known." in " ".join(stdout.split())


@pytest.mark.process
@pytest.mark.parametrize(
    ("ways", "version", "changed", "complaint"),
    [
        ("sse,ws", "4.18.0", {}, "AstrBot 4.18.0 has no WebSocket for chats: it came with 4.19.2"),
        ("sse,messenger", "4.29.3", {"ASTRBOT_MESSENGER_TOKEN": "wrong"}, "lets nobody in"),
        ("sse,messenger", "4.29.3", {"ASTRBOT_MESSENGER_URL": ""}, "--messenger ws://HOST:PORT/ws"),
        ("sse,ws", "4.29.3", {"scope": "file"}, "it needs the scope chat"),
    ],
)
def test_a_way_that_is_closed_is_said_before_the_first_search(
    asker, tmp_path, ways, version, changed, complaint
):
    with simulator(version) as (app, url, environment):
        changed = dict(changed)
        if scope := changed.pop("scope", None):
            changed["ASTRBOT_API_KEY"] = app.config.keys[scope].secret
        done = run(command(asker, url, tmp_path / "out", "--ways", ways), {**environment, **changed})
    assert (done.returncode, complaint in " ".join(done.stderr.split())) == (2, True), done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.process
def test_a_scenario_in_which_nobody_chats_has_no_ways(tmp_path):
    with simulator() as (_, url, environment):
        done = run(command("reads", url, tmp_path / "out", "--ways", "sse,ws"), environment)
    assert done.returncode == 2
    assert "nobody chats in reads.py" in done.stderr
