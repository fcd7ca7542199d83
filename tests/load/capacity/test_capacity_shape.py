"""Servers of known capacity are searched, in one Locust run each: alone, and with workers.

Where the machine is too busy to measure, the search itself says so; then these tests know nothing either.
"""

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import datetime

import httpx
import pytest
from causes import kinds
from click.testing import CliRunner
from own_master import own_master
from queue_model import capacity

from astrometer import bundled
from astrometer.cli import main
from astrometer.targets.script import ModelScript
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import Concurrency, SimulatedRateLimit, SimulatorConfig

pytestmark = pytest.mark.process

ASKER = """
from locust import constant, task
from astrometer.load.users import ChatUser

class Asker(ChatUser):
    scenario = "chat"
    wait_time = constant(0.1)
    @task
    def ask(self): self.chat("how are you", session_id=self.new_session())
"""
LOCUST = (sys.executable, "-m", "locust", "--headless", "--only-summary", "--stop-timeout", "20")
ASTROMETER = (sys.executable, "-c", "from astrometer.cli import main; main()", "capacity")


@contextmanager
def simulator(**options):
    """A server with one-token answers, and the environment of a client of it."""
    app = Simulator(SimulatorConfig(rate_limit=SimulatedRateLimit(strategy="off"), **options))
    ours, state = ("ASTR", "LOCUST"), "ASTROMETER_STATE"
    clean = {name: os.environ[name] for name in os.environ if not name.startswith(ours) or name == state}
    with serve(app) as url:
        yield url, {**clean, "ASTRBOT_API_KEY": app.config.keys["all"].secret}


SHORT = ("--step-time", "3s", "--settle", "1s", "--repeats", "1")


def one_token(ttft_s):
    return ModelScript(ttft_s=ttft_s, gap_s=0.0, tokens=1)


class Watching:
    """How many chats a simulator works on, twenty times a second."""

    def __init__(self, url):
        self._url = url
        self._seen = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _watch(self):
        with httpx.Client(trust_env=False) as client:
            while not self._stop.wait(0.05):
                stats = client.get(f"{self._url}/sim/stats").json()
                self._seen.append((time.time(), stats["chats_in_flight"]))

    def between(self, start, end):
        return [chats for t, chats in self._seen if start <= t <= end]


@pytest.fixture
def asker(tmp_path):
    file = tmp_path / "asker.py"
    file.write_text(ASKER)
    return str(file)


def run(command, environment, out, *, patience_s=60):
    """Run to the end, or end it in order when windows that had to be repeated have taken too long."""
    search = subprocess.Popen(
        command, env={**environment, "ASTROMETER_CACHE": str(out / "cache")}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        try:
            stdout, stderr = search.communicate(timeout=patience_s)
        except subprocess.TimeoutExpired:
            search.terminate()
            stdout, stderr = search.communicate(timeout=40)
    finally:
        search.kill()
        search.wait()
    assert (out / "results.json").exists(), stderr[-3000:]
    done = subprocess.CompletedProcess(command, search.returncode, stdout, stderr)
    return json.loads((out / "results.json").read_text()), done


def answer_of(results):
    """The search's answer, unless it says that this machine could not measure it."""
    found = results["capacity"]
    causes = [cause for step in found["steps"] for cause in step["causes"]]
    if found["end"] == "generator":
        assert results["verdict"] == "INVALID"
        assert kinds(results) == ["search_unfinished"]
    if found["end"] in ("generator", "stopped") and causes:
        pytest.skip(f"this machine is too busy: {causes[-1]['sentence']}")
    return found


def accounts_for_everything(results):
    return results["turns"]["started"] == sum(results["turns"]["outcomes"].values())


@pytest.mark.alone
def test_a_hard_limit_of_concurrency_is_found_exactly(asker, tmp_path):
    with simulator(model=one_token(0.4), concurrency=Concurrency(limit=6, strategy="refuse")) as (url, env):
        results, done = run(
            [*ASTROMETER, asker, "--host", url, "--slo", "errors < 1%", "--start", "5", "--max", "20",
             "--step-time", "2s", "--settle", "1s", "--out", str(tmp_path)],
            env, tmp_path,
        )  # fmt: skip
    found = answer_of(results)
    assert (found["highest_passing"], found["lowest_failing"]) == (6, 7)
    assert (found["end"], found["binding"], found["decline"]) == ("converged", "errors < 1%", "cliff")
    assert found["at_highest_passing"]["turns"]["outcomes"].keys() == {"ok"}
    assert done.returncode == 0
    said = " ".join(done.stdout.split())
    assert "The server holds about 6" in said
    assert "errors < 1%" in said
    assert "step 1" in done.stderr
    assert accounts_for_everything(results)


@pytest.mark.alone
def test_a_cost_of_every_request_is_found_by_two_workers(asker, tmp_path):
    """AstrBot hashes a key for each request, on its only event loop: 0.1 s each is ten requests a second."""
    with simulator(model=one_token(0.01), auth_cost_s=0.1) as (url, env):
        results, _ = run(
            [*LOCUST, "-f", asker, "--host", url,
             "--capacity", "--start", "6/s", "--max", "24/s", *SHORT, "--precision", "10%",
             "--slo", "e2e_effective_p50 < 300ms", "--arrivals", "constant",
             "--astrometer-out", str(tmp_path),
             "--processes", "2", *own_master(["--processes"])],
            env, tmp_path,
        )  # fmt: skip
    found = answer_of(results)
    assert results["generator"]["processes"] == 2
    assert 0.9 * found["highest_passing"] <= 10 <= 1.1 * found["lowest_failing"]
    assert accounts_for_everything(results)


@pytest.mark.alone
def test_the_capacity_of_a_queue_is_erlangs(asker, tmp_path):
    """Windows of seconds say it to 20 % (so did 200 in virtual time); tests/measure is more exact."""
    truth = capacity(16, 0.25, 0.3, 0.5)
    with simulator(model=one_token(0.25), ttft_exponential=True, concurrency=Concurrency(limit=16)) as (
        url,
        env,
    ):
        results, _ = run(
            [*LOCUST, "-f", asker, "--host", url,
             "--capacity", "--start", "40/s", "--max", "160/s", *SHORT, "--precision", "15%",
             "--slo", "e2e_effective_p50 < 300ms", "--astrometer-out", str(tmp_path)],
            env, tmp_path,
        )  # fmt: skip
    found = answer_of(results)
    assert 0.8 * found["highest_passing"] <= truth <= 1.2 * found["lowest_failing"]
    assert accounts_for_everything(results)


@pytest.mark.alone
def test_a_server_that_breaks_no_objective_holds_the_maximum(asker, tmp_path):
    with simulator(model=one_token(0.1)) as (url, env):
        results, _ = run(
            [*LOCUST, "-f", asker, "--host", url, "--capacity", "--max", "2",
             "--step-time", "1s", "--settle", "0s", "--repeats", "1",
             "--slo", "e2e_max < 20s", "--astrometer-out", str(tmp_path)],
            env, tmp_path,
        )  # fmt: skip
    found = answer_of(results)
    assert (found["end"], found["highest_passing"], found["lowest_failing"]) == ("maximum", 2, None)
    assert results["verdict"] == "PASS"


@pytest.mark.parametrize(
    ("levels", "processes"),
    [(("4", "8"), ()), (("8/s", "16/s"), ("--processes", "2"))],
    ids=["users of one process", "a rate of two workers"],
)
def test_each_window_begins_on_an_idle_server(asker, tmp_path, levels, processes):
    app = Simulator(SimulatorConfig(rate_limit=SimulatedRateLimit(strategy="off"), model=one_token(0.7)))
    key = {"ASTRBOT_API_KEY": app.config.keys["all"].secret}
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ASTR", "LOCUST"))}
    with serve(app) as url, Watching(url) as watching:
        results, _ = run(
            [*LOCUST, "-f", asker, "--host", url, "--capacity", "--start", levels[0],
             "--max", levels[1], "--step-time", "2s", "--settle", "1s", "--repeats", "1",
             "--slo", "e2e_max < 20s", "--arrivals", "constant", "--astrometer-out", str(tmp_path),
             "--model-status", f"{url}/sim/stats", *processes, *own_master(processes)],
            {**clean, **key}, tmp_path,
        )  # fmt: skip
    steps = results["capacity"]["steps"]
    assert len(steps) >= 2
    began = datetime.fromisoformat(results["window"]["start"]).timestamp()
    for before, after in itertools.pairwise(steps):
        between = watching.between(began + before["end_s"], began + after["start_s"])
        assert min(between) == 0
        assert before["turns"]["started"] > 0
    assert accounts_for_everything(results)


@pytest.mark.alone
def test_a_search_that_spent_its_budget_reports_what_it_knows(asker, tmp_path):
    with simulator(model=one_token(0.1)) as (url, env):
        results, _ = run(
            [*LOCUST, "-f", asker, "--host", url, "--capacity", "--start", "2", "--max", "200",
             "--step-time", "2s", "--settle", "0s",
             "--slo", "e2e_max < 20s", "--budget-tokens", "30000", "--astrometer-out", str(tmp_path)],
            env, tmp_path,
        )  # fmt: skip
    found = results["capacity"]
    if found["end"] != "generator":
        assert found["end"] == "budget"
        assert "token budget" in found["reason"]
    assert results["verdict"] == "INVALID"
    assert accounts_for_everything(results)


def test_a_search_that_is_stopped_reports_what_it_knows(asker, tmp_path):
    with simulator(model=one_token(0.1)) as (url, env):
        search = subprocess.Popen(
            [*LOCUST, "-f", asker, "--host", url, "--capacity", "--start", "2", "--max", "2",
             "--step-time", "60s", "--slo", "e2e_max < 20s",
             "--astrometer-out", str(tmp_path), "--astrometer-progress"],
            env=env, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            while "started" not in search.stderr.readline():
                assert search.poll() is None
            search.terminate()
            search.communicate(timeout=60)
        finally:
            search.kill()
            search.wait()
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["capacity"]["end"] == "stopped"
    assert results["verdict"] == "INVALID"
    assert accounts_for_everything(results)


def test_a_search_that_makes_no_sense_is_refused_before_it_starts():
    done = subprocess.run(
        [*LOCUST, "-f", str(bundled.find("locustfiles", "chat")), "--host", "http://127.0.0.1:9",
         "--capacity", "--max", "5"],
        env={**os.environ, "ASTRBOT_API_KEY": "abk_x"}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "needs an objective" in done.stderr


def test_the_command_is_the_same_as_a_plain_locust_run(tmp_path):
    done = CliRunner().invoke(
        main,
        ["capacity", "chat", "--host", "http://127.0.0.1:9", "--slo", "ttft_p95 < 2s", "--start", "2/s",
         "--max", "50/s", "--dry-run", "--out", str(tmp_path)],
    )  # fmt: skip
    assert done.exit_code == 0
    assert " --capacity --start 2/s --max 50/s " in done.stdout


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "needs an objective"),
        (["--slo", "errors < 1%", "--model", "closed", "--start", "2/s"], "must agree"),
        (["--slo", "errors < 1%", "--start", "fast"], "neither a number of users"),
        (["--slo", "errors < 1%", "--repeats", "2"], "odd"),
    ],
)
def test_the_command_says_what_is_wrong(options, reason):
    done = CliRunner().invoke(main, ["capacity", "chat", "--host", "http://127.0.0.1:9", *options])
    assert (done.exit_code, reason in done.output) == (2, True), done.output
