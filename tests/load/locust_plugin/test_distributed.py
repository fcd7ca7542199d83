"""Workers that do not do their share: what the master's results say of them. Real Locust processes."""

import json
import signal
import subprocess
import time
from contextlib import contextmanager

import pytest
from causes import sentences
from one_question import ONE_QUESTION
from own_master import free_port
from waiting import until
from web_locust import web_locust

pytestmark = pytest.mark.process

FAST = ("--prompt-suffix", "[[ttft=0.02 gap=0 tokens=1]]", "--whole-answer-percent", "0")


class Cluster:
    """One master, and workers that join when they are told to."""

    def __init__(self, sim, folder):
        self._sim = sim
        self._folder = folder
        self._port = str(free_port())
        self.file = folder / "asking.py"
        self.file.write_text(ONE_QUESTION)

    @contextmanager
    def master(self, *options, seconds, users, expect):
        join = ("--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", self._port)
        command = self._sim.command(
            str(self.file), *join, "--expect-workers", str(expect), "--astrometer-out", str(self._folder),
            *FAST, *options, seconds=seconds, users=users,
        )  # fmt: skip
        with self._process(command, cwd=self._folder, stderr=subprocess.PIPE) as process:
            yield process

    @contextmanager
    def worker(self, cwd=None):
        command = [*self._sim.command(str(self.file))[:5], "--worker", "--master-port", self._port]
        with self._process(command, cwd=cwd or self._folder, stderr=subprocess.DEVNULL) as process:
            yield process

    @contextmanager
    def _process(self, command, *, cwd, stderr):
        child = subprocess.Popen(
            command, env=self._sim.environment(), cwd=cwd, stdout=subprocess.DEVNULL, stderr=stderr, text=True
        )
        try:
            yield child
        finally:
            child.kill()
            child.wait()
            if child.stderr is not None:
                child.stderr.close()

    def results(self, master):
        """When it has come to its end."""
        _, said = master.communicate(timeout=60)
        file = self._folder / "results.json"
        assert file.exists(), said[-3000:]
        return json.loads(file.read_text())


def wait_for(words, process):
    """In what it says."""
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"never said {words!r}")


@pytest.fixture
def cluster(sim, tmp_path):
    return Cluster(sim, tmp_path)


def test_a_worker_that_cannot_begin_makes_the_run_invalid_and_says_why(cluster, tmp_path):
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "What is the time?"}\n')
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    slo = ("--prompts", "prompts.jsonl", "--slo", "errors < 50%")
    master = cluster.master(*slo, seconds=3, users=4, expect=2)
    with master as running, cluster.worker(), cluster.worker(elsewhere):
        results = cluster.results(running)
    assert results["turns"]["started"] > 0  # of the other one
    assert results["verdict"] == "INVALID"
    (cause,) = [cause for cause in results["causes"] if cause["kind"] == "worker_did_not_begin"]
    assert "prompts.jsonl: cannot be read" in cause["detail"]


def test_users_that_never_came_make_the_run_invalid(cluster):
    cluster.file.write_text(
        ONE_QUESTION.replace(
            "    @task",
            "    born = 0\n\n    def __init__(self, environment):\n"
            "        Asker.born += 1\n        assert Asker.born < 3, 'no more'\n"
            "        super().__init__(environment)\n\n    @task",
        )
    )
    with cluster.master(seconds=9, users=6, expect=1) as running, cluster.worker():
        results = cluster.results(running)
    assert "2 users instead of 6: there were never as many as requested" in sentences(results)


def test_a_worker_that_joins_later_counts_in_the_stage_that_goes_on(cluster):
    """Stages are told apart on each worker's own clock."""
    master = cluster.master("--shape", "2:3s,4:60s", seconds=90, users=4, expect=1)
    with master as running, cluster.worker():
        wait_for("updating to 4 users", running)
        with cluster.worker():
            wait_for("(index 1) reported as ready", running)
            time.sleep(4)
            running.send_signal(signal.SIGINT)
            results = cluster.results(running)
    assert results["generator"]["processes"] == 2
    first, second = (stage["turns"]["started"] for stage in results["stages"])
    assert first <= 2 * (3 / 0.1 + 1)  # two users, who pause for 0.1 s
    assert second > 0


def test_a_second_test_of_the_web_ui_begins_at_once(sim, tmp_path):
    """Locust's workers sleep out the stop timeout before they are ready again."""
    file = tmp_path / "asking.py"
    file.write_text(ONE_QUESTION)
    out = ("--astrometer-out", str(tmp_path), "--stop-timeout", "30")
    with web_locust(sim, str(file), "--processes", "2", *out) as web:
        for users in (2, 4):
            assert web.swarm(user_count=str(users), spawn_rate="10")["success"]
            until(lambda users=users: web.stats()["user_count"] == users)
            until(lambda: web.stats()["total_rps"] > 0)
            assert web.client.post("/stop").json()["success"]
            results = json.loads((tmp_path / "results.json").read_text())
            assert (results["users"], results["generator"]["lost_workers"]) == (users, 0)
            assert results["turns"]["outcomes"] == {"ok": results["turns"]["started"]}
            assert not [cause for cause in results["causes"] if "worker" in cause]
