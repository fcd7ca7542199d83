"""The server's process beside a load: its values are plausible, its end is told, nobody else is sampled."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from threading import Thread

import pytest
from astrbot_lookalike import looks_like_astrbot
from waiting import until
from web_locust import free_port, web_locust

pytestmark = pytest.mark.process
FAST = ("--prompt-suffix", "[[ttft=0.05 gap=0.01 tokens=10]]")
LIVE = "astrbot_load_server_"


@pytest.fixture
def so_called():
    with looks_like_astrbot() as process:
        yield process


def astrometer(*words, key):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ASTRBOT", "LOCUST"))}
    return subprocess.run(
        [sys.executable, "-m", "astrometer", *words],
        env={**clean, "ASTRBOT_API_KEY": key}, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


@pytest.mark.timeout(300)
@pytest.mark.astrbot
def test_a_real_astrbot_in_a_sandbox_is_sampled_without_being_named(real_astrbot, tmp_path):
    box = real_astrbot("4.29.3")
    done = astrometer(
        "load", "chat", "--host", box.url, "--rate", "2/s", "--duration", "60s", "--warmup", "3s",
        "--out", str(tmp_path), *FAST, "--slo", "server_cpu_per_turn < 5s",
        key=box.keys["all"],
    )  # fmt: skip
    results = json.loads((tmp_path / "results.json").read_text("utf-8"))
    server = results["server"]
    assert (server["pid"], server["listens"], server["ended"]) == (box.pid, True, None)
    assert 0.01 < server["cpu_per_turn_s"] < 3  # a busy machine needs ten times as long as a quick one
    assert server["rss_bytes"]["begin"] > 150e6
    assert server["database_bytes"]["begin"] > 100_000
    assert server["threads"]["max"] > 5
    assert server["open_files"]["max"] > 20
    assert server["log"] is not None
    assert results["objectives"][0]["n"] == server["turns"] > 20
    assert "Server: RSS" in done.stdout
    assert "Memory of the server over time" in (tmp_path / "report.html").read_text("utf-8")


@pytest.mark.parametrize("processes", [(), ("--processes", "2")])
def test_the_leading_process_samples_once_a_second_and_no_worker_does(sim, tmp_path, processes):
    pid = ("--server-pid", str(os.getpid()))  # the simulator is in this process
    results, done = sim.locust("chat", *FAST, *pid, *processes, out=tmp_path, seconds=16)
    server = results["server"]
    times = server["series"]["t_s"]
    assert (server["pid"], server["listens"]) == (os.getpid(), True)
    assert 13 <= server["samples"] <= 17, server
    assert all(0.5 < after - before < 3 for before, after in pairwise(times[:-1]))
    assert server["series"]["turns"][-1] == results["turns"]["outcomes"]["ok"]
    assert server["cpu_per_turn_s"] > 0
    assert server["cpu_share"] < 2.5
    assert "sampled" not in done.stderr


def test_a_server_that_dies_in_the_middle_is_told_and_what_it_used_is_not_judged(sim, so_called, tmp_path):
    def die_in_the_middle():
        until(lambda: sim.served().get("chat", 0) >= 15)
        so_called.kill()

    thread = Thread(target=die_in_the_middle)
    thread.start()
    results, done = sim.locust(
        "chat", *FAST, "--server-pid", str(so_called.pid), "--slo", "server_cpu_per_turn < 9s",
        out=tmp_path, seconds=10,
    )  # fmt: skip
    thread.join()
    assert results["server"]["ended"]["how"] == "gone"
    assert 0 < results["server"]["ended"]["t_s"] < 10
    assert results["server"]["cpu_per_turn_s"] is None
    assert results["server"]["rss_bytes"]["begin"] > 0
    assert results["verdict"] == "INVALID"
    assert results["causes"][0]["kind"] == "server_ended"
    assert f"the server's process {so_called.pid} is gone" in done.stderr
    assert "does not listen on the port of" in done.stderr


def test_where_nobody_knows_the_process_a_cheap_request_a_second_is_answered(sim, tmp_path):
    results, _ = sim.locust("chat", *FAST, out=tmp_path, seconds=4)
    assert results["server"] is None
    assert 3 <= results["pulse"]["n"] == sim.served()["start_time"] <= 5
    assert 0 < results["pulse"]["max_s"] < 2


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--server-pid", "1"), "process 1"),  # the system's own, from which all others come
        (("--server-pid", str(2**22 + 1)), "there is no process"),
        (
            ("--slo", "server_cpu_per_turn < 1s"),
            "name the server's process on this machine with --server-pid",
        ),
    ],
)
def test_a_process_that_cannot_be_sampled_ends_it_before_anything_is_sent(sim, words, complaint):
    nobody = f"http://127.0.0.1:{free_port()}"
    done = astrometer("load", "chat", "--host", nobody, *words, key=sim.key)
    assert (done.returncode, complaint in done.stderr) == (2, True), done.stderr
    plain = subprocess.run(
        [*sim.command("chat", *words), "--host", nobody],
        env=sim.environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (plain.returncode, complaint in plain.stderr) == (2, True), plain.stderr
    assert sim.served() == {}


def test_live_metrics_show_the_process(sim):
    with web_locust(sim, "chat", "--server-pid", str(os.getpid())) as web:
        assert f"{LIVE}up" not in web.metrics()
        assert web.swarm(shape="2:3s")["success"]
        until(lambda: web.metrics().get(f"{LIVE}up") == 1)
        metrics = until(lambda: LIVE + "threads" in (found := web.metrics()) and found)
    assert metrics[f"{LIVE}resident_memory_bytes"] > 10e6
    assert metrics[f"{LIVE}cpu_seconds_total"] > 0
    assert metrics[f"{LIVE}open_files"] > 3
    assert f"{LIVE}database_bytes" not in metrics
