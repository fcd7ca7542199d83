"""`--rate-unit`: users are a rate, arrivals have intended times; a frozen server cannot hide its queue."""

import itertools
import json
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from causes import kinds
from one_question import ONE_QUESTION
from own_master import free_port
from waiting import until

from astrometer.measure.tally.histogram import Histogram

pytestmark = pytest.mark.process

FAST = ("--prompt-suffix", "[[ttft=0.05 gap=0.01 tokens=10]]", "--whole-answer-percent", "0")
OPEN = ("--rate-unit", "1", "--arrivals", "constant", "--stop-timeout", "10", *FAST)


@pytest.fixture
def asking(tmp_path):
    """A locustfile whose every task is one chat, so that arrivals and chats are the same."""
    path = tmp_path / "asking.py"
    path.write_text(ONE_QUESTION)
    return str(path)


def test_users_become_a_rate_and_every_arrival_is_accounted_for(sim, asking, tmp_path):
    results, _ = sim.locust(asking, *OPEN, out=tmp_path, seconds=4, users=20)
    turns, arrivals = results["turns"], results["arrivals"]
    assert arrivals["rate_per_s"] == 20
    assert 70 <= arrivals["intended"] <= 90
    assert turns["started"] == turns["outcomes"]["ok"] == arrivals["intended"]
    assert (turns["excluded"], turns["excluded_outcomes"]) == (0, {})
    assert sim.served()["chat"] == turns["started"]
    # The effective times run from the intended ones, so they are never shorter.
    assert results["metrics"]["ttft_effective"]["p50"] >= results["metrics"]["ttft"]["p50"]
    assert results["metrics"]["schedule_lag"]["n"] == turns["started"]


def test_poisson_arrivals_of_two_processes_add_up(sim, asking, tmp_path):
    results, _ = sim.locust(
        asking, *OPEN, "--arrivals", "poisson", "--processes", "2", out=tmp_path, seconds=5, users=20
    )
    arrivals = results["arrivals"]
    assert results["generator"]["processes"] == 2
    assert results["turns"]["outcomes"] == {"ok": arrivals["intended"]}
    assert 50 <= arrivals["intended"] <= 150


NOTES = ONE_QUESTION.replace(
    "self.ask(", "print(self.t_intended, file=open({path!r}, 'a', buffering=1)); self.ask("
)


def test_arrivals_of_three_workers_are_one_even_schedule(sim, tmp_path):
    """Though they begin one after the other, and get four, three and three tokens."""
    noted = tmp_path / "noted"
    file = tmp_path / "noting.py"
    file.write_text(NOTES.format(path=str(noted)))
    results, _ = sim.locust(str(file), *OPEN, "--processes", "3", out=tmp_path, seconds=4, users=10)
    times = sorted(float(line) for line in noted.read_text().split())
    assert len(times) == results["arrivals"]["intended"] > 30
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    # To the microsecond, however late one of them heard of it: they read one clock.
    assert gaps == pytest.approx([0.1] * len(gaps), abs=1e-5)


CHOICES = """
from locust import MarkovTaskSet, TaskSet, between, task, transitions

from astrometer.load import ChatUser


class Choosing(ChatUser):
    scenario = "chat"

    def on_start(self):
        self.random.random()

    @task(2)
    def once(self):
        self.choose("once")

    @task
    class Again(TaskSet):
        @task
        def first(self):
            self.user.choose("first")
            self.interrupt()

        @task
        def other(self):
            self.user.choose("other")
            self.interrupt()

    @task
    class Wandering(MarkovTaskSet):
        wait_time = between(0.001, 0.002)

        def on_start(self):
            self.steps = ""

        @transitions(["left", "right", "out"])
        def left(self):
            self.steps += f"left/{{self.wait_time():.9f}}/"

        @transitions(["left", "right", "out"])
        def right(self):
            self.steps += f"right/{{self.wait_time():.9f}}/"

        @transitions(["left"])
        def out(self):
            self.user.choose(self.steps)
            self.interrupt()

    def choose(self, what):
        print(self.t_intended, what, self.random.randint(3, 5), file=open({path!r}, "a", buffering=1))
        self.ask(self.prompt())
"""


def test_with_the_same_seed_each_arrival_chooses_the_same(sim, tmp_path):
    """Or a server would seem slower because it was asked more. However many processes share the arrivals."""
    chosen = []
    for name, seed, *more in (
        ("first", "7"), ("second", "7"), ("shared", "7", "--processes", "2"), ("other", "8"),
    ):  # fmt: skip
        noted, file = tmp_path / f"{name}.txt", tmp_path / f"{name}.py"
        file.write_text(CHOICES.format(path=str(noted)))
        sim.locust(str(file), *OPEN, "--arrival-seed", seed, *more, out=tmp_path / name, seconds=2, users=20)
        lines = sorted(noted.read_text().splitlines())
        chosen.append([line.split(" ", 1)[1] for line in lines][:30])
    assert chosen[0] == chosen[1] == chosen[2]
    assert chosen[3] != chosen[0]
    assert {"once 3", "once 4"} < {*chosen[0], *chosen[3]}
    assert {"first", "other"} < {line.split()[0] for line in chosen[0]}
    assert any("right/" in line for line in chosen[0])  # transitions, with the pauses that were drawn


@pytest.mark.alone
def test_a_worker_that_joins_makes_its_share_of_the_same_schedule(sim, tmp_path):
    noted = tmp_path / "noted"
    file = tmp_path / "noting.py"
    file.write_text(NOTES.format(path=str(noted)))
    port = str(free_port())
    worker = [
        sys.executable, "-m", "locust", "-f", str(file), "--worker",
        "--master-host", "127.0.0.1", "--master-port", port,
    ]  # fmt: skip
    master = sim.command(
        str(file), *OPEN, "--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port,
        "--expect-workers", "1", "--astrometer-out", str(tmp_path), seconds=8, users=10,
    )  # fmt: skip
    quiet = {"env": sim.environment(), "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with ExitStack() as stack:
        running = [stack.enter_context(subprocess.Popen(command, **quiet)) for command in (master, worker)]
        try:
            until(noted.exists)
            running.append(stack.enter_context(subprocess.Popen(worker, **quiet)))
            running[0].wait(timeout=40)
        finally:
            for process in running:
                process.kill()
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["generator"]["processes"] == 2
    times = sorted(float(line) for line in noted.read_text().split())
    assert len(times) == results["arrivals"]["intended"] > 60
    # None is made twice and none left out, though whoever joins hears late how old the run is.
    assert len(times) == pytest.approx((times[-1] - times[0]) * 10, abs=3)
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) < 0.35


def test_what_cannot_start_is_dropped_and_counted_in_every_denominator(sim, asking, tmp_path):
    results, done = sim.locust(
        asking, *OPEN, "--max-in-flight", "2", "--prompt-suffix", "[[ttft=1 gap=0 tokens=1]]",
        "--slo", "e2e_max < 20s", out=tmp_path, seconds=4, users=20,
    )  # fmt: skip
    turns = results["turns"]
    assert turns["started"] == results["arrivals"]["intended"] == sum(turns["outcomes"].values())
    assert turns["outcomes"]["dropped"] > turns["outcomes"]["ok"] > 0
    assert results["goodput"]["share"] == pytest.approx(turns["outcomes"]["ok"] / turns["started"])
    assert results["objectives"][0]["verdict"] == ("INVALID" if results["causes"] else "FAIL")
    assert "dropped" in done.stderr


def frozen_for_two_seconds(sim, *options, out, users, file):
    """Load, and freeze the server for 2 s in the middle; the histogram of a metric of the run."""

    def freeze():
        until(lambda: sim.served().get("chat", 0) >= 10)
        httpx.post(f"{sim.url}/sim/faults", json={"kind": "freeze", "count": 1, "value": 2.0}, timeout=10)
        # The next request is the one that freezes it.

    thread = threading.Thread(target=freeze)
    thread.start()
    try:
        results, _ = sim.locust(file, *options, out=out, seconds=8, users=users)
    finally:
        thread.join()
    return {name: Histogram.decode(item["histogram"]) for name, item in results["metrics"].items()}


@pytest.mark.alone
def test_a_freeze_shows_in_effective_times_and_hides_in_a_closed_loop(sim, asking, tmp_path):
    """Coordinated omission: two closed users send nothing while they wait, so only two samples are slow."""
    open_loop = frozen_for_two_seconds(sim, *OPEN, out=tmp_path / "open", users=20, file=asking)
    closed = frozen_for_two_seconds(
        sim, *FAST, "--stop-timeout", "10", out=tmp_path / "closed", users=2, file=asking
    )

    def slow(histogram):
        return histogram.n - histogram.count_at_most(0.5)

    # 2 s x 20/s were due during the freeze; those due in its last half second waited less than that.
    assert 20 <= slow(open_loop["ttft_effective"]) <= 50
    assert slow(closed["ttft"]) <= 2
    assert open_loop["ttft_effective"].percentile(90) > 0.5
    assert closed["ttft"].percentile(90) < 0.5


@pytest.mark.alone
def test_a_generator_that_is_kept_busy_is_found_out(sim, tmp_path):
    """The locustfile blocks its own process: the numbers are worthless, and the run says so."""
    busy = tmp_path / "busy.py"
    busy.write_text(ONE_QUESTION.replace("self.ask(", "sum(range(8_000_000)); self.ask("))
    results, _ = sim.locust(str(busy), *OPEN, out=tmp_path, seconds=3, users=10)
    assert results["verdict"] == "INVALID"
    assert "schedule_lag" in kinds(results)


def test_a_warm_up_is_accounted_for_and_not_measured(sim, asking, tmp_path):
    results, _ = sim.locust(asking, *OPEN, "--warmup", "2s", out=tmp_path, seconds=4, users=20)
    turns = results["turns"]
    assert 30 <= turns["excluded"] <= 50
    assert results["metrics"]["ttft"]["n"] == turns["started"] - turns["excluded"]
    assert results["window"]["excluded_s"] == 2.0
    assert results["window"]["duration_s"] >= 1.9


def greeting_file(tmp_path, *, on_start):
    path = tmp_path / "greeting.py"
    path.write_text(
        "import gevent\nfrom astrometer.api import endpoints\n"
        + ONE_QUESTION
        + "\n    def on_start(self):\n"
        + "".join(f"        {line}\n" for line in on_start)
    )
    return str(path)


def test_a_user_that_greets_the_server_first_does_so_once_and_ends_in_time(sim, tmp_path):
    """`on_start` is a user's own code: tokens do not run it, and it blocks no arrival."""
    greeting = greeting_file(tmp_path, on_start=["self.call(endpoints.CONFIGS)"])
    began = time.monotonic()
    results, _ = sim.locust(greeting, *OPEN, out=tmp_path, seconds=4, users=20)
    assert time.monotonic() - began < 40
    served = sim.served()
    assert served["chat"] == results["arrivals"]["intended"]
    assert 0 < served["configs"] <= 20  # as many as ever ran at once, not one for each token


def test_an_arrival_that_is_still_greeting_when_the_window_ends_is_served(sim, tmp_path):
    waits = ["while not self.run_info.is_over:", "    gevent.sleep(0.01)", "self.call(endpoints.CONFIGS)"]
    greeting = greeting_file(tmp_path, on_start=waits)
    results, _ = sim.locust(greeting, *OPEN, out=tmp_path, seconds=2, users=10)
    served, intended = sim.served(), results["arrivals"]["intended"]
    assert served["chat"] == served["configs"] == intended > 0
    assert results["turns"]["outcomes"] == {"ok": 2 * intended}


LOGIN = ["gevent.sleep(1)"]
READS_FIRST = ONE_QUESTION.replace("self.ask(", "gevent.sleep(1); self.ask(")


@pytest.mark.alone
@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["one process", "two workers"])
def test_what_a_user_does_before_its_first_exchange_is_no_lag(sim, tmp_path, processes):
    """A login in `on_start` takes a second; the load generator is not late by that."""
    login = greeting_file(tmp_path, on_start=LOGIN)
    results, _ = sim.locust(login, *OPEN, *processes, out=tmp_path, seconds=4, users=10)
    assert results["turns"]["outcomes"] == {"ok": results["arrivals"]["intended"]}
    assert results["generator"]["schedule_lag_p99_s"] < 0.5
    assert not [cause for cause in results["causes"] if "schedule lag p99 1" in cause]
    assert results["metrics"]["e2e_effective"]["max"] < 0.9


@pytest.mark.alone
def test_what_a_task_does_before_it_asks_is_no_lag(sim, tmp_path):
    file = tmp_path / "reading.py"
    file.write_text("import gevent\n" + READS_FIRST)
    results, _ = sim.locust(str(file), *OPEN, out=tmp_path, seconds=4, users=10)
    assert results["turns"]["outcomes"] == {"ok": results["arrivals"]["intended"]}
    assert results["generator"]["schedule_lag_p99_s"] < 0.5
    assert results["metrics"]["e2e_effective"]["max"] < 0.9


def test_an_arrival_whose_on_start_fails_is_dropped_and_counted(sim, tmp_path):
    greeting = greeting_file(tmp_path, on_start=["raise RuntimeError('no luck')"])
    results, _ = sim.locust(greeting, *OPEN, out=tmp_path, seconds=2, users=10)
    intended = results["arrivals"]["intended"]
    assert intended > 0
    assert results["turns"]["outcomes"] == {"dropped": intended}


def test_dropped_reads_are_not_counted_as_missing_ttfts(sim, tmp_path):
    results, _ = sim.locust("reads", *OPEN, "--max-in-flight", "1", out=tmp_path, seconds=3, users=60)
    assert "ttft" not in results["metrics_all_attempts"]


def test_ctrl_c_while_arrivals_drain_loses_nothing(sim, asking, tmp_path):
    slow = ("--prompt-suffix", "[[ttft=3 gap=0 tokens=1]]")
    command = sim.command(asking, *OPEN, *slow, "--astrometer-out", str(tmp_path), seconds=2, users=5)
    with subprocess.Popen(command, env=sim.environment(), stderr=subprocess.PIPE, text=True) as locust:
        for line in locust.stderr:
            if "limit reached" in line:  # Locust's --run-time: the drain begins
                locust.send_signal(signal.SIGINT)
        locust.wait(timeout=30)
    results = json.loads((tmp_path / "results.json").read_text())
    intended = results["arrivals"]["intended"]
    assert results["turns"]["outcomes"] == {"ok": intended}
    assert intended >= 8


STOPPED_TWICE = """
from locust import events

@events.test_stop.add_listener
def once_more(environment, **_):
    if not hasattr(environment, "stopped_twice"):
        environment.stopped_twice = True
        environment.events.test_stop.fire(environment=environment)
"""


def test_a_test_that_is_stopped_twice_is_concluded_once(sim, asking, tmp_path):
    Path(asking).write_text(ONE_QUESTION + STOPPED_TWICE)
    results, done = sim.locust(asking, *OPEN, "--slo", "e2e_max < 20s", out=tmp_path, seconds=2, users=10)
    assert done.stderr.count("verdict ") == 1
    assert results["arrivals"]["intended"] == results["turns"]["started"] > 0


RAISES = ONE_QUESTION.replace("self.ask(self.prompt())", "raise ValueError('a slip of the pen')")


@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["one process", "two workers"])
def test_an_arrival_whose_task_fails_before_it_asks_is_dropped_and_the_report_warns(sim, tmp_path, processes):
    broken = tmp_path / "broken.py"
    broken.write_text(RAISES)
    results, _ = sim.locust(str(broken), *OPEN, *processes, out=tmp_path, seconds=2, users=10)
    intended = results["arrivals"]["intended"]
    assert intended > 0
    assert results["turns"]["outcomes"] == {"dropped": intended}
    assert results["generator"]["user_errors"] == intended
    shown = subprocess.run(
        [sys.executable, "-m", "astrometer", "report", str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    words = " ".join(re.sub("[^a-z0-9]", " ", shown.stdout).split())
    assert f"the locustfile raised {intended} exceptions" in words


LESS_AND_LESS = """
from locust import LoadTestShape

class LessAndLess(LoadTestShape):
    def tick(self):
        passed_s = self.get_run_time()
        return None if passed_s > 6 else (20, 20) if passed_s < 3 else (2, 20)
"""


def test_the_requested_rate_is_that_of_every_moment_and_not_of_the_last(sim, asking, tmp_path):
    Path(asking).write_text(ONE_QUESTION + LESS_AND_LESS)
    results, _ = sim.locust(asking, *OPEN, out=tmp_path, seconds=30)
    arrivals = results["arrivals"]
    assert arrivals["rate_per_s"] == 20
    assert arrivals["expected"] == pytest.approx(arrivals["intended"], abs=8)
    assert 50 <= arrivals["intended"] <= 90
    assert results["users"] == 20
