"""IM pushes of real Locust processes into a simulator's sink: the results say what arrived, exactly."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import httpx
import pytest
from causes import only_generator
from own_master import own_master

from astrometer import bundled
from astrometer.load.run.im_delivery import Sent, SinkError, Tokens, Watch
from astrometer.measure.delivery import Push
from astrometer.targets.messenger.sink import Sink
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import SimulatorConfig

# One burst after the other, so that a short run has several.
LOCUSTFILE = """
import time
from locust import constant, task
from astrometer.load.users import ImUser

class Notifier(ImUser):
    scenario = "alerts"
    wait_time = constant(1.2)

    @task
    def burst(self):
        for number in range(20):
            self.push(self.umos[number % len(self.umos)], self.prompt())
"""


@pytest.fixture
def sim():
    app = Simulator(SimulatorConfig(im_sink=True, im_delay_s=0.02))
    with serve(app) as url:
        yield SimpleNamespace(url=url, app=app, sink_url=f"{url}/onebot", sink=app.sink)


def locust(sim, *options, out, locustfile, seconds=4, users=4):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ASTR", "LOCUST"))}
    done = subprocess.run(
        [
            sys.executable, "-m", "locust", "-f", str(locustfile), "--host", sim.url, "--headless",
            "-u", str(users), "-r", str(users), "-t", f"{seconds}s", "--stop-timeout", "5", "--only-summary",
            "--exit-code-on-error", "0", "--astrometer-out", str(out), *own_master(options), *options,
        ],
        env={**clean, "ASTRBOT_API_KEY": sim.app.config.keys["im"].secret},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    file = out / "results.json"
    return (json.loads(file.read_text()) if file.exists() else None), done


@pytest.fixture
def locustfile(tmp_path):
    file = tmp_path / "alerts.py"
    file.write_text(LOCUSTFILE)
    return file


@pytest.mark.process
@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["one process", "two workers"])
def test_a_sink_that_loses_every_fifth_is_reported_exactly(sim, tmp_path, locustfile, processes):
    httpx.post(f"{sim.sink_url}/faults", json={"lose_every": 5, "delivery_delay_s": 0.02})
    results, done = locust(sim, "--im-sink", sim.sink_url, *processes, out=tmp_path, locustfile=locustfile)
    assert results is not None, done.stderr
    seen = results["im_delivery"]
    pushed = results["turns"]["started"]
    assert pushed > 20
    assert seen["sent"] == seen["accepted"] == pushed == sim.sink.status()["actions"]
    assert (seen["lost"], seen["delivered"]) == (pushed // 5, pushed - pushed // 5)
    assert seen["delivered"] == sim.sink.status()["cursor"]
    assert (seen["duplicates"], seen["reordered"], seen["unexpected"], seen["untracked"]) == (0, 0, 0, 0)
    assert seen["latency"]["n"] == seen["delivered"]
    assert 0.020 <= seen["latency"]["p50"] < 1.0
    assert seen["bursts"]["n"] >= 4
    assert seen["bursts"]["worst"]["lost"] >= 1
    assert results["metrics"]["delivery"]["n"] == seen["delivered"]
    assert results["metrics_all_attempts"]["delivery"]["max"] == "inf"


@pytest.mark.process
def test_users_who_share_one_name_have_tokens_of_their_own(sim, tmp_path, locustfile):
    options = ("--im-sink", sim.sink_url, "--run-username", "api_key:abk-1", "--processes", "2")
    results, done = locust(sim, *options, out=tmp_path, locustfile=locustfile, seconds=2)
    assert results is not None, done.stderr
    seen = results["im_delivery"]
    assert seen["sent"] == seen["delivered"] == results["turns"]["started"] > 20
    assert (seen["duplicates"], seen["bursts"]["n"] >= 4) == (0, True)


@pytest.mark.process
def test_a_good_sink_loses_nothing_and_old_messages_are_not_of_this_run(sim, tmp_path, locustfile):
    for number in range(7):
        sim.sink.arrived(0.0, "onebot:FriendMessage:11001", f"[im-old-1-1-{number}] from before")
    options = ("--im-sink", sim.sink_url, "--slo", "delivery_p50 < 1s")
    results, done = locust(sim, *options, out=tmp_path, locustfile=locustfile)
    seen = results["im_delivery"]
    assert seen["sent"] == seen["delivered"] == results["turns"]["outcomes"]["ok"]
    assert (seen["lost"], seen["unexpected"]) == (0, 0)
    objective = results["objectives"][0]
    assert 0 < objective["value"] < objective["limit"] == 1.0
    # On a machine that is too busy to load a server no objective is met; its value is the same.
    assert (objective["verdict"], results["verdict"]) in (("PASS", "PASS"), ("INVALID", "INVALID")), (
        done.stderr
    )
    assert only_generator(results)
    assert seen["latency"]["max"] <= results["metrics"]["duration"]["max"] + 0.005


@pytest.mark.process
def test_copies_are_counted(sim, tmp_path, locustfile):
    httpx.post(f"{sim.sink_url}/faults", json={"duplicate_every": 4})
    results, _ = locust(sim, "--im-sink", sim.sink_url, out=tmp_path, locustfile=locustfile, seconds=2)
    seen = results["im_delivery"]
    assert seen["duplicates"] == seen["sent"] // 4
    assert seen["lost"] == 0


@pytest.mark.process
def test_a_push_that_is_never_acknowledged_failed_and_yet_arrived(sim, tmp_path, locustfile):
    httpx.post(f"{sim.sink_url}/faults", json={"drop_ack_every": 10})
    options = ("--im-sink", sim.sink_url, "--call-timeout", "0.5")
    results, _ = locust(sim, *options, out=tmp_path, locustfile=locustfile, seconds=3)
    seen = results["im_delivery"]
    assert seen["delivered_though_failed"] == seen["sent"] - seen["accepted"] > 0
    assert seen["delivered_though_failed"] == seen["sent"] // 10
    assert (seen["delivered"], seen["lost"]) == (seen["sent"], 0)


@pytest.mark.process
def test_without_a_sink_only_the_acceptance_is_known(sim, tmp_path):
    file = bundled.find("locustfiles", "im_bursts")
    results, done = locust(sim, out=tmp_path, locustfile=file, seconds=2)
    assert results is not None, done.stderr
    assert results["im_delivery"] is None
    assert sim.sink.status()["cursor"] == 0


@pytest.mark.process
@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://127.0.0.1:9/onebot", "--im-sink: http://127.0.0.1:9/onebot: "),
        ("{url}", "404"),
        ("{url}/api/stat/start-time", "is no IM sink of astrometer"),
        ("nonsense", "--im-sink: nonsense: "),
    ],
)
def test_a_wrong_sink_is_refused_before_the_start(sim, tmp_path, locustfile, url, complaint):
    results, done = locust(sim, "--im-sink", url.format(url=sim.url), out=tmp_path, locustfile=locustfile)
    assert (results, done.returncode) == (None, 2)
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


# the pieces, in this process


def sent_push(number):
    return Push(
        scenario="im",
        umo="onebot:FriendMessage:1",
        token=f"im-r-1-1-{number}",
        t_s=1.0,
        t_sent=1.0,
        t_done=2.0,
        accepted=True,
    )


def test_a_worker_with_another_clock_makes_the_latency_unknown_and_keeps_the_counts(sim):
    watch, sent = Watch(sim.sink_url), Sent()
    watch.begin()
    sim.sink.arrived(1.5, "onebot:FriendMessage:1", "[im-r-1-1-1] hello")
    away = Sent()
    away.pushes.append(sent_push(1))
    wire = away.take()
    sent.merge({**wire, "clock": wire["clock"] + 0.006})
    observed = watch.conclude(sent)
    assert "must run on one machine" in observed.latency_refused
    assert observed.report.total.delivered == 1
    assert away.pushes == []


def test_messages_beyond_the_journal_are_noticed(sim):
    watch, sent = Watch(sim.sink_url), Sent()
    watch.begin()
    sim.app.sink._messages = Sink(kept=3)._messages
    for number in range(10):
        sim.sink.arrived(1.5, "onebot:FriendMessage:1", f"[im-r-1-1-{number}] hello")
    sent.pushes.append(sent_push(9))
    assert watch.conclude(sent).forgotten == 7


def test_a_sink_that_is_gone_at_the_end_is_an_error_and_no_loss(sim):
    watch = Watch("http://127.0.0.1:9/onebot")
    with pytest.raises(SinkError):
        watch.begin()
    with pytest.raises(SinkError, match="when the run began"):
        watch.conclude(Sent())


@pytest.mark.parametrize("path", ["", "/nope"])
def test_a_page_that_is_not_there_is_named_by_its_status(sim, path):
    with pytest.raises(SinkError, match="HTTP 404"):
        Watch(sim.url + path).begin()


def test_a_pause_of_a_second_begins_a_new_burst():
    tokens = Tokens("run-7")
    first = [tokens.next(0.0), tokens.next(0.5)]
    tokens.ended(5.0)
    assert [*first, tokens.next(5.9), tokens.next(6.9)] == [
        "im-run-7-1-1", "im-run-7-1-2", "im-run-7-1-3", "im-run-7-2-4"
    ]  # fmt: skip


def test_no_more_is_followed_than_can_be_kept():
    sent = Sent(kept=2)
    assert [sent.follow("onebot:GroupMessage:1") for _ in range(4)] == [True, True, False, False]
    assert sent.untracked == 2
    assert not sent.follow("webchat:FriendMessage:x")
    assert sent.take()["untracked"] == 2
