"""Runs that end before their time: who did it, what the results say, how the process exits. Real Locust."""

import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest
from waiting import until
from web_locust import web_locust

from astrometer.load.locust_plugin.run_stop import OutsideStop
from astrometer.measure.slo.run_verdict import StopReason

QUITS = """
import gevent
from locust import events
from astrometer.load import ReadsUser
from locust import task, constant

class Reader(ReadsUser):
    wait_time = constant(0.1)
    @task
    def read(self):
        self.configs()

@events.test_start.add_listener
def quit_early(environment, **_):
    gevent.spawn_later(2, environment.runner.quit)
"""


def test_a_signal_counts_at_any_time_before_the_end_and_never_after():
    end = OutsideStop()
    end.interrupted()
    assert end.stop_of(299.9, 300.0).by is StopReason.INTERRUPTED
    assert end.stop_of(300.0, 300.0) is None
    assert end.stop_of(6.0, None) is None  # it had no end of its own
    assert end.stop_of(6.0, math.inf).sentence.endswith("before there was an answer")


def test_the_end_at_the_time_that_was_asked_for_is_nobodys_doing():
    end = OutsideStop()
    assert end.stop_of(299.5, 300.0) is None
    assert end.stop_of(200.0, 300.0).by is StopReason.LOCUSTFILE


def test_the_next_test_of_a_web_ui_begins_anew():
    end = OutsideStop()
    end.stopped_in_web_ui()
    assert end.stop_of(1.0, 300.0).by is StopReason.WEB_UI
    end.begin()
    assert end.stop_of(300.0, 300.0) is None


def running(sim):
    until(sim.served)


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("more", [(), ("--shape", "3:60s"), ("--processes", "2")])
def test_plain_locust_that_was_interrupted_is_invalid_and_exits_130(sim, tmp_path, number, more):
    command = sim.command(
        "reads", "--slo", "errors < 50%", "--astrometer-out", str(tmp_path), *more, seconds=60
    )
    child = subprocess.Popen(
        command, env=sim.environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        running(sim)
        child.send_signal(number)
        said = child.communicate(timeout=40)[1]
    finally:
        child.kill()
        child.communicate()
    assert child.returncode == 130, said[-3000:]
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["verdict"] == "INVALID"
    assert results["stopped"]["by"] == "interrupted"
    assert "cut_short" in [cause["kind"] for cause in results["causes"]]
    assert results["stopped"]["at_s"] < 50


@pytest.mark.process
@pytest.mark.parametrize("slo", [("--slo", "errors < 50%"), ()])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_load_says_in_every_report_that_it_was_interrupted(sim, tmp_path, number, slo):
    child = subprocess.Popen(
        [
            *(sys.executable, "-m", "astrometer", "load", "reads", "--host", sim.url, "-u", "2", "-t", "60s"),
            *("--out", str(tmp_path / "out"), *slo),
        ],
        env={**sim.environment(), "ASTROMETER_STATE": str(tmp_path / "state")},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        until(lambda: sum(sim.served().values()) >= 10)
        child.send_signal(number)
        said = child.communicate(timeout=40)
    finally:
        child.kill()
        child.communicate()
    assert child.returncode == 130, said
    assert "Interrupted after" in said[0]
    assert "PASS" not in said[0]
    for name in ("results.json", "report.html", "summary.md", "junit.xml"):
        assert "Ctrl-C or SIGTERM" in (tmp_path / "out" / name).read_text("utf-8").replace("\\", ""), name


@pytest.mark.process
def test_a_run_without_an_end_is_ended_by_ctrl_c_and_judged(sim, tmp_path):
    command = sim.command("reads", "--slo", "errors < 50%", "--astrometer-out", str(tmp_path))
    at = command.index("-t")
    del command[at : at + 2]
    child = subprocess.Popen(command, env=sim.environment(), stderr=subprocess.DEVNULL)
    try:
        running(sim)
        time.sleep(2)
        child.send_signal(signal.SIGINT)
        child.wait(40)
    finally:
        child.kill()
        child.wait()
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["stopped"] is None
    assert (child.returncode, results["verdict"]) in ((0, "PASS"), (3, "INVALID"))  # a busy machine
    assert "cut_short" not in [cause["kind"] for cause in results["causes"]]


@pytest.mark.process
def test_stop_in_the_web_ui_is_said_and_judged(sim, tmp_path):
    with web_locust(sim, "reads", "--slo", "errors < 50%", "--astrometer-out", str(tmp_path)) as web:
        assert web.swarm(run_time="60s")["success"]
        until(lambda: web.stats()["stats"][-1]["num_requests"] >= 5)
        web.client.post("/stop")
        file = tmp_path / "results.json"
        until(file.exists)
    results = json.loads(file.read_text())
    assert results["stopped"]["by"] == "web_ui"
    assert "cut_short" not in [cause["kind"] for cause in results["causes"]]


@pytest.mark.process
def test_a_locustfile_that_quits_is_named(sim, tmp_path):
    file = tmp_path / "quits.py"
    file.write_text(QUITS)
    results, _ = sim.locust(str(file), out=tmp_path, seconds=30)
    assert results["stopped"]["by"] == "locustfile"


@pytest.mark.process
def test_ctrl_c_before_anything_runs_is_not_a_failed_objective(tmp_path):
    program = (
        "import signal, os\n"
        "from astrometer.cli import main\n"
        "import astrometer.cli.report as report\n"
        "report.command.callback = lambda **_: os.kill(os.getpid(), signal.SIGINT)\n"
        "main(prog_name='astrometer')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "report", str(tmp_path)],
        env=os.environ,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 130


COUNTS = """
import os, signal
import gevent
from astrometer.load.locust_plugin.run_stop import hear_signals

def user():
    os.kill(os.getpid(), signal.SIGINT)
    print("counted", flush=True)

hear_signals(lambda: print("heard", flush=True))
running = gevent.spawn(user)
try:
    gevent.sleep(20)
except KeyboardInterrupt:
    print("interrupted", flush=True)
os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.mark.process
def test_ctrl_c_is_raised_where_locust_waits_and_not_in_a_user_that_counts():
    done = subprocess.run(
        [sys.executable, "-c", COUNTS], check=False, capture_output=True, text=True, timeout=30
    )
    assert done.stdout.split() == ["heard", "counted", "interrupted", "heard"]
    assert "KeyboardInterrupt" in done.stderr
