"""Too few files, ports, memory or threads: refused before a run, and never blamed on the server."""

import errno
import json
import resource
import socket
import subprocess

import pytest

from astrometer.load.generator_limits import BYTES_OF_USER, Reached, TooLittle, check

HUNGRY = """
import os
from locust import constant, events, task
from astrometer.load import ChatUser

class Chatter(ChatUser):
    wait_time = constant(0.2)
    @task
    def talk(self):
        self.ask("hello [[ttft=0.1 gap=0.02 tokens=5]]")

@events.test_start.add_listener
def eat(environment, **_):
    import resource
    # After the check, as another program on the machine might: hardly a file is left.
    open_now = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 4, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
"""


@pytest.mark.parametrize(
    ("problem", "name"),
    [
        (OSError(errno.EMFILE, "x"), "open files"),
        (OSError(errno.ENFILE, "x"), "open files of the whole machine"),
        (OSError(errno.EADDRNOTAVAIL, "x"), "local ports"),
        (OSError(errno.ENOMEM, "x"), "memory"),
        (OSError(errno.ENOBUFS, "x"), "memory for sockets"),
        (MemoryError(), "memory"),
        (RuntimeError("can't start new thread"), "threads"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), None),
        (RuntimeError("anything else"), None),
        (socket.gaierror(-2, "no such name"), None),
        (None, None),
    ],
)
def test_a_limit_of_this_machine_is_told_from_what_the_server_did(problem, name):
    reached = Reached()
    assert reached.by(problem) == name
    assert reached.take() == ([name] if name else [])
    assert reached.take() == []


def test_what_is_missing_is_said_with_its_number_and_cure():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        check(100, 1)
        check(1000, 8)
        with pytest.raises(
            TooLittle, match=r"1000 users need 1064 open files .* may have 256: .*ulimit -n 1064"
        ):
            check(1000, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with pytest.raises(TooLittle, match="local ports"):
        check(70_000, 70_000)

    def no_thread():
        raise RuntimeError("can't start new thread")

    with pytest.raises(TooLittle, match="no thread can be started"):
        check(1, 1, no_thread)
    assert BYTES_OF_USER < 1_000_000


@pytest.mark.process
def test_a_run_that_needs_more_files_than_there_may_be_is_refused(sim):
    command = sim.command("reads", users=400)
    done = subprocess.run(
        ["bash", "-c", 'ulimit -n 300; exec "$@"', "-", *command],
        env=sim.environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "400 users need 464 open files in a process, which may have 300" in done.stderr
    assert sim.served() == {}


@pytest.mark.process
def test_a_soft_limit_is_raised(sim, tmp_path):
    command = sim.command("reads", "--astrometer-out", str(tmp_path), users=40, seconds=3)
    subprocess.run(
        ["bash", "-c", 'ulimit -Sn 64; exec "$@"', "-", *command],
        env=sim.environment(), capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["generator"]["exhausted"] == []
    assert set(results["turns"]["outcomes"]) == {"ok"}


@pytest.mark.process
def test_a_run_that_runs_out_of_files_is_invalid_by_that_cause_without_tracebacks(sim, tmp_path):
    file = tmp_path / "hungry.py"
    file.write_text(HUNGRY)
    results, done = sim.locust(str(file), "--slo", "errors < 1%", out=tmp_path, users=20, seconds=4)
    assert results["verdict"] == "INVALID"
    assert {"kind": "exhausted", "detail": "open files"}.items() <= results["causes"][0].items()
    assert results["generator"]["exhausted"] == ["open files"]
    assert set(results["turns"]["outcomes"]) <= {"ok", "dropped"}
    assert results["turns"]["outcomes"]["dropped"] > 0
    assert "Traceback" not in done.stderr


@pytest.mark.process
def test_a_window_of_a_search_that_runs_out_of_files_says_nothing_of_the_server(sim, tmp_path):
    file = tmp_path / "hungry.py"
    file.write_text(HUNGRY)
    search = ("--capacity", "--start", "16", "--max", "16", "--step-time", "3s", "--settle", "1s")
    results, done = sim.locust(str(file), *search, "--slo", "errors < 1%", out=tmp_path, users=1, seconds=60)
    steps = results["capacity"]["steps"]
    assert {step["verdict"] for step in steps} == {"INVALID"}, done.stderr
    assert {cause["detail"] for step in steps for cause in step["causes"]} >= {"open files"}
    assert results["capacity"]["end"] == "generator"
    assert results["verdict"] == "INVALID"
