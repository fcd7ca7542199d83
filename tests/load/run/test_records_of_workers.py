"""Records of real Locust workers: one file on the master, and the death of a worker costs it a second."""

import os
import signal
import subprocess
import time

import pytest
from own_master import free_port
from required import needs_extra
from waiting import until

from astrometer.measure.records.record_files import read_rows

pytestmark = pytest.mark.process

# Each user says by itself what ended, when and where: what the records are held against.
TELLS = """
import os, time
from locust import constant, task
from astrometer.load.users import ChatUser

class Asker(ChatUser):
    scenario = "chat"
    wait_time = constant(0.1)

    @task
    def say(self):
        turn = self.ask(self.prompt())
        with open(os.environ["TOLD"], "a") as told:
            told.write(f"{time.time()} {os.getpid()} {turn.session_id}\\n")
"""
FAST = ("--prompt-suffix", "[[ttft=0.02 gap=0 tokens=1]]", "--session-turns", "4")


def told(folder):
    file = folder / "told"
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return [(float(at), int(pid), session) for at, pid, session in lines]


def test_what_a_killed_worker_had_recorded_is_in_the_masters_file_to_its_last_second(sim, tmp_path):
    file, port = tmp_path / "tells.py", str(free_port())
    file.write_text(TELLS)
    env = {**sim.environment(), "TOLD": str(tmp_path / "told")}
    records = tmp_path / "records.jsonl.gz"
    join = (
        "--master",
        "--master-bind-host",
        "127.0.0.1",
        "--master-bind-port",
        port,
        "--expect-workers",
        "2",
    )
    lead = sim.command(
        str(file), *join, "--astrometer-out", str(tmp_path), "--records", str(records), *FAST, seconds=90
    )
    follow = [*sim.command(str(file))[:5], "--worker", "--master-port", port]
    children = [subprocess.Popen(lead, env=env, stderr=subprocess.DEVNULL, cwd=tmp_path)]
    try:
        for name in ("here", "elsewhere"):  # each as if on a machine of its own
            (tmp_path / name).mkdir()
            children.append(subprocess.Popen(follow, env=env, cwd=tmp_path / name, stderr=subprocess.DEVNULL))
        victim = children[2]
        until(lambda: sum(pid == victim.pid for _, pid, _ in told(tmp_path)) >= 20)
        victim.send_signal(signal.SIGKILL)
        killed_at = time.time()
        time.sleep(1)  # of the other worker alone
        children[0].send_signal(signal.SIGTERM)
        assert children[0].wait(timeout=60) == 130
    finally:
        for child in children:
            child.kill()
            child.wait()
    rows = list(read_rows(records))
    of_victim = [at for at, pid, _ in told(tmp_path) if pid == victim.pid]
    due = sum(at < killed_at - 1 for at in of_victim)
    processes = {session: pid for _, pid, session in told(tmp_path)}
    kept = sum(processes.get(row["session_id"]) == victim.pid for row in rows)
    assert due <= kept <= len(of_victim) + 3  # a user may have died between the two
    assert sum(pid != victim.pid for pid in processes.values()) > 0
    others = sum(pid != victim.pid for _, pid, _ in told(tmp_path))
    assert (
        sum(processes[row["session_id"]] != victim.pid for row in rows if row["session_id"] in processes)
        == others
    )
    assert {row["turn"] for row in rows} == {1, 2, 3, 4}
    assert {path.name for path in tmp_path.rglob("*.gz")} == {"records.jsonl.gz"}


def test_a_mixed_run_of_one_process_keeps_each_exchange_once(sim, tmp_path):
    needs_extra("parquet", "pyarrow")
    records = tmp_path / "r.parquet"
    options = ("--records", str(records), "--warmup", "1s", "--prompt-suffix", "[[ttft=0.02 gap=0 tokens=1]]")
    results, _ = sim.locust("mixed", *options, out=tmp_path, seconds=4, users=12)
    rows = list(read_rows(records))
    turns = results["turns"]
    assert len(rows) == turns["started"] == results["records"]["lines"]
    assert sum(not row["measured"] for row in rows) == turns["excluded"]
    assert {row["scenario"] for row in rows} == results["scenarios"].keys()
    assert results["records"] == {"file": "r.parquet", "lines": len(rows), "lost": 0, "problem": None}
    assert not [path for path in tmp_path.iterdir() if "rows" in path.name or "part" in path.name]
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert sim.key.encode() not in content
    assert os.fsencode("ttft") in content


def test_a_place_of_no_use_is_refused_before_anything_is_sent(sim, tmp_path):
    (tmp_path / "results.json").write_text("{}")
    before, place = sim.served(), tmp_path / "results.json" / "r.jsonl"
    done = subprocess.run(
        sim.command("chat", "--records", str(place)), env=sim.environment(), capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, "nothing can be written there" in done.stderr) == (2, True), done.stderr
    assert sim.served() == before
