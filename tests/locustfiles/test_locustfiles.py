import json
import re
import signal
import subprocess
import sys
import time

import httpx
import pytest
from causes import only_generator, sentences
from own_master import free_port

from astrometer import bundled

pytestmark = pytest.mark.process

FAST = ("--prompt-suffix", "[[ttft=0.05 gap=0.01 tokens=10]]")


def outcomes(results):
    return results["turns"]["outcomes"]


def rows(text):
    """Locust's final table: {(type, name): (requests, failures)}."""
    found = re.findall(r"^(\S*) +(.+?) +(\d+) +(\d+)\([\d.]+%\) \|", text, re.MULTILINE)
    return {(kind, name.strip()): (int(n), int(failed)) for kind, name, n, failed in found}


def test_a_mixed_run_counts_what_the_server_counts_and_keeps_aggregated_clean(sim, tmp_path):
    results, done = sim.locust(
        "mixed", *FAST, "--stop-timeout", "10", out=tmp_path, seconds=6, users=12, cwd=tmp_path
    )
    turns, served, table = results["turns"], sim.served(), rows(done.stderr)
    assert turns["outcomes"] == {"ok": turns["started"]}
    assert turns["started"] > 10
    assert table[("SSE", "chat")][0] == served["chat"]
    assert ("ttft", "chat TTFT") in table
    assert ("gap", "chat longest gap") in table
    exchanges = sum(n for (kind, _), (n, _) in table.items() if kind in ("SSE", "POST", "GET"))
    assert exchanges == turns["started"]
    assert f"Aggregated {turns['started']}" in re.sub(" +", " ", done.stderr)
    assert {"chat", "reads"} <= set(results["scenarios"])


@pytest.mark.parametrize(
    ("scenario", "operation"), [("chat", "chat"), ("im_bursts", "im"), ("reads", "sessions")]
)
def test_each_locustfile_runs_by_itself(sim, tmp_path, scenario, operation):
    results, done = sim.locust(scenario, *FAST, "--stop-timeout", "10", out=tmp_path, seconds=3)
    assert outcomes(results) == {"ok": results["turns"]["started"]}
    assert operation in {item["operation"] for item in results["operations"]}
    assert done.returncode == (3 if results["verdict"] == "INVALID" else 0)


@pytest.mark.parametrize(
    ("objective", "verdict", "code"), [("errors <= 100%", "PASS", 0), ("errors < 1%", "FAIL", 1)]
)
@pytest.mark.parametrize("processes", [(), ("--processes", "2")])
def test_the_verdict_is_the_exit_code_and_is_said(sim, tmp_path, objective, verdict, code, processes):
    results, done = sim.locust(
        "reads", *processes, "--slo", objective, out=tmp_path, key=sim.app.config.keys["revoked"].secret
    )
    assert set(outcomes(results)) == {"unauthorized"}  # Locust itself would say 1
    told = results["verdict"]
    assert (told, done.returncode) in ((verdict, code), ("INVALID", 3))
    assert f"verdict {told}: {objective if told == verdict else sentences(results)[0]}" in done.stderr


@pytest.mark.parametrize(("version", "downloads"), [("4.29.3", True), ("4.18.0", False)])
def test_uploads_skip_the_download_where_there_is_none(make_sim, tmp_path, version, downloads):
    results, _ = make_sim(version).locust(
        "uploads", *FAST, "--stop-timeout", "10", out=tmp_path, seconds=4, users=12
    )
    operations = {item["operation"] for item in results["operations"]}
    assert outcomes(results) == {"ok": results["turns"]["started"]}
    assert {"upload", "chat"} <= operations
    assert ("download" in operations) is downloads


def test_two_processes_lose_nothing_although_their_streams_outlast_the_run(sim, tmp_path):
    results, done = sim.locust(
        "chat", "--processes", "2", "--stop-timeout", "15", "--prompt-suffix", "[[ttft=3 tokens=2]]",
        out=tmp_path, seconds=2,
    )  # fmt: skip
    assert outcomes(results) == {"ok": 6}
    assert sim.served()["chat"] == 6
    assert rows(done.stderr)[("SSE", "chat")] == (6, 0)
    assert results["generator"]["processes"] == 2
    assert results["generator"]["lost_workers"] == 0


@pytest.mark.parametrize("processes", [(), ("--processes", "2")])
def test_streams_that_are_cut_off_at_the_end_are_counted(sim, tmp_path, processes):
    results, done = sim.locust(
        "chat", *processes, "--stop-timeout", "0", "--prompt-suffix", "[[ttft=60]]", out=tmp_path, seconds=2
    )
    assert outcomes(results) == {"cutoff": 6}
    assert sim.served()["chat"] == 6
    assert rows(done.stderr)[("SSE", "chat")] == (6, 6)
    # Without an objective Locust's own: failed requests.
    assert done.returncode == (3 if results["verdict"] == "INVALID" else 1)


@pytest.mark.parametrize("option", [(), ("--stop-abandoned",)])
def test_the_server_is_asked_to_stop_what_nobody_waits_for_when_that_is_wished(sim, tmp_path, option):
    slow = ("--first-token-timeout", "300ms", "--prompt-suffix", "[[ttft=60]]", "--whole-answer-percent", "0")
    results, _ = sim.locust("chat", *slow, *option, "--stop-timeout", "2", out=tmp_path, seconds=2)
    assert "timeout_first_token" in outcomes(results)
    assert bool(sim.served().get("session_stop")) is bool(option)


def test_failures_are_rows_named_by_their_outcome_and_nothing_else(sim, tmp_path):
    results, done = sim.locust(
        "chat", "--stop-timeout", "5", "--prompt-suffix", "[sim:cut:3]", "--whole-answer-percent", "0",
        out=tmp_path,
    )  # fmt: skip
    assert set(outcomes(results)) == {"reset"}
    assert results["metrics_failed"]["ttft"]["n"] == results["turns"]["started"]
    report = done.stderr[done.stderr.index("Error report") :]
    assert re.findall(r"^\d+ +(.+?) *$", report, re.MULTILINE) == ["SSE chat: reset"]


def test_a_revoked_key_is_unauthorized_and_shows_nowhere(sim, tmp_path):
    revoked = sim.app.config.keys["revoked"].secret
    results, done = sim.locust("reads", out=tmp_path, key=revoked)
    assert set(outcomes(results)) == {"unauthorized"}
    assert revoked not in done.stdout + done.stderr + (tmp_path / "results.json").read_text()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--slo", "ttft < 1s"), "which percentile"),
        (("--prompts", "/does/not/exist.jsonl"), "--prompts: /does/not/exist.jsonl: cannot be read"),
    ],
)
def test_what_cannot_work_is_refused_before_the_start(sim, options, complaint):
    done = subprocess.run(
        sim.command("chat", *options),
        env=sim.environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert complaint in done.stderr


def test_a_missing_key_is_a_clear_error_and_no_run(sim):
    environment = sim.environment()
    del environment["ASTRBOT_API_KEY"]
    done = subprocess.run(
        sim.command("chat"), env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert "no API key: set ASTRBOT_API_KEY" in done.stderr
    assert sim.served() == {}


SERVER = """
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
import threading
app = Simulator()
with serve(app) as url:
    print(url, app.config.keys["all"].secret, flush=True)
    threading.Event().wait(60)
"""


def test_a_server_killed_in_mid_run_shows_as_reset_and_connect(sim, tmp_path):
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        sim.url, key = server.stdout.readline().split()
        run = subprocess.Popen(
            sim.command(
                "chat", "--astrometer-out", str(tmp_path), "--prompt-suffix", "[[tokens=400 gap=0.02]]",
                seconds=5,
            ),
            env=sim.environment(key), stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        while "All users spawned" not in run.stderr.readline():
            assert run.poll() is None
        time.sleep(1.5)
        server.kill()
        run.communicate(timeout=30)
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    from astrometer.measure.results import document

    turns = document.read(tmp_path)["turns"]
    assert turns["outcomes"].get("reset") == 6
    assert turns["outcomes"].get("connect", 0) > 0
    assert sum(turns["outcomes"].values()) == turns["started"]


def test_a_lost_worker_makes_the_run_invalid(sim, tmp_path):
    port = str(free_port())
    bind = (
        "--master",
        "--master-bind-host",
        "127.0.0.1",
        "--master-bind-port",
        port,
        "--expect-workers",
        "2",
    )
    worker = [
        sys.executable, "-m", "locust", "-f", str(bundled.find("locustfiles", "chat")),
        "--worker", "--master-host", "127.0.0.1", "--master-port", port,
    ]  # fmt: skip
    workers = [subprocess.Popen(worker, env=sim.environment(), stderr=subprocess.DEVNULL) for _ in range(2)]
    master = subprocess.Popen(
        sim.command(
            "chat", *bind, *FAST, "--stop-timeout", "2", "--astrometer-out", str(tmp_path), seconds=12
        ),
        env=sim.environment(), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        while "All users spawned" not in master.stderr.readline():
            assert master.poll() is None
        workers[0].kill()
        master.communicate(timeout=40)
        assert workers[1].wait(10) == 0
    finally:
        for process in (*workers, master):
            process.kill()
            process.wait()
    from astrometer.measure.results import document

    measured = document.read(tmp_path)
    assert measured["verdict"] == "INVALID"
    assert measured["generator"]["lost_workers"] == 1


def test_the_web_ui_shows_ttft_rows_and_never_the_key(sim, tmp_path):
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    command = [
        *(part for part in sim.command("chat", *FAST) if part not in ("--headless", "-t", "3s")),
        "--web-host", "127.0.0.1", "--web-port", str(port), "--astrometer-out", str(tmp_path),
    ]  # fmt: skip
    process = subprocess.Popen(command, env=sim.environment(), stderr=subprocess.DEVNULL)
    try:
        page = _get_when_up(base, process)
        assert "first_token_timeout" in page
        assert sim.key not in page
        form = {"user_count": 5, "spawn_rate": 5, "slo": "errors < 50%", "whole_answer_percent": "0"}
        assert httpx.post(f"{base}/swarm", data=form).json()["success"]
        time.sleep(3)
        stats = httpx.get(f"{base}/stats/requests").json()["stats"]
        httpx.post(f"{base}/stop")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    counts = {row["name"]: row["num_requests"] for row in stats}
    assert counts["chat TTFT"] > 0
    assert counts["Aggregated"] == counts["chat"]
    from astrometer.measure.results import document

    measured = document.read(tmp_path)
    # On a machine that is too busy to load a server no objective is met.
    assert measured["objectives"][0]["verdict"] == ("INVALID" if measured["causes"] else "PASS")
    assert only_generator(measured)


def _get_when_up(base, process):
    for _ in range(100):
        assert process.poll() is None
        try:
            return httpx.get(base).text
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail("no web UI")


def test_a_folder_of_locustfiles_can_be_given(sim):
    done = subprocess.run(
        [sys.executable, "-m", "locust", "-f", str(bundled.folder("locustfiles")), "--list"],
        env=sim.environment(), capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert {"Chatter", "Sender", "Notifier", "Onlooker"} <= set(done.stdout.split())


GOOD = "[t] hi [[ttft=0.05 gap=0.01 tokens=10]]"
BROKEN = "[t] hi [[ttft=0.05 gap=0.01 tokens=10 drop=3]]"
UNCOUNTED = "[t] hi [[ttft=0.05 gap=0.01 tokens=10 usage=0]]"


@pytest.mark.parametrize("processes", [(), ("--processes", "2")])
@pytest.mark.parametrize(
    ("prompts", "expected"), [((GOOD, BROKEN), {"ok", "llm_error"}), ((UNCOUNTED,), {"ok"})]
)
def test_answers_that_the_model_broke_off_fail_though_an_old_astrbot_hides_it(
    make_sim, tmp_path, prompts, expected, processes
):
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))
    options = ("--prompts", str(file), "--whole-answer-percent", "0", "--stop-timeout", "10", *processes)
    results, _ = make_sim("4.23.6").locust("chat", *options, out=tmp_path, seconds=6, users=12)
    turns = results["turns"]
    assert set(turns["outcomes"]) == expected
    assert turns["started"] == sum(turns["outcomes"].values())
    assert turns["uncounted"] == (0 if BROKEN in prompts else turns["started"] - turns["excluded"])
