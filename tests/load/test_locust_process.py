"""Locust as astrometer starts it: strangers' files, settings that lie around, parents that are killed."""

import json
import os
import signal
import subprocess
import sys

import processes
import psutil
import pytest
from waiting import until

pytestmark = pytest.mark.process

STRANGER = "print('a stranger ran')\nraise SystemExit(7)\n"
NAMES = (
    "locust",
    "gevent",
    "httpx",
    "flask",
    "json",
    "typing",
    "psutil",
    "prometheus_client",
    "astrometer",
    "pip",
)
OWN = """
import helper_beside
import helper_of_the_project
from locust import constant, task
from astrometer.load import ReadsUser

class Reader(ReadsUser):
    wait_time = constant(0.1)
    @task
    def read(self):
        import late_helper
        self.configs()
"""
PLAIN_USER = """
from locust import HttpUser, task
class Plain(HttpUser):
    @task
    def get(self):
        self.client.get("/")
"""
CONFLICTS = {
    "behind": "from astrometer.load import ReadsUser\nfrom locust import events, task\n{adding}",
    "before": "from locust import events, task\n{adding}\nfrom astrometer.load import ReadsUser\n",
}
ADDING = """
@events.init_command_line_parser.add_listener
def add(parser):
    parser{group}.add_argument("{flag}", default="x")
"""
USER = """
class Reader(ReadsUser):
    @task
    def read(self):
        self.configs()
"""

BUSY_MASTER = """
import time
import gevent
from locust import constant, events, task
from locust.runners import MasterRunner
from astrometer.load import ReadsUser

def hang():
    end = time.monotonic() + 7
    while time.monotonic() < end:
        pass

@events.test_start.add_listener
def begin(environment, **_):
    if isinstance(environment.runner, MasterRunner):
        gevent.spawn_later(1, hang)
"""


@pytest.fixture
def astrometer(sim, tmp_path):
    """Runs a command in `tmp_path`, where anything may lie."""

    def run(*arguments, program=("-P", "-m", "astrometer"), **environment):
        return subprocess.run(
            [sys.executable, *program, *arguments],
            env={**sim.environment(), "ASTROMETER_STATE": str(tmp_path / "state"), **environment},
            cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip

    return run


def test_strangers_files_of_the_working_directory_do_not_run_and_helpers_do(sim, astrometer, tmp_path):
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(STRANGER)
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "own.py").write_text(OWN)
    (folder / "helper_beside.py").write_text("")
    (tmp_path / "helper_of_the_project.py").write_text("")
    (tmp_path / "late_helper.py").write_text("")
    done = astrometer("load", "mine/own.py", "--host", sim.url, "-u", "1", "-t", "2s", "--out", "out")
    assert "a stranger ran" not in done.stdout + done.stderr
    assert (tmp_path / "out" / "results.json").exists(), done.stderr
    assert " ok " in done.stdout
    assert "exceptions" not in done.stdout


def test_a_locustfile_called_like_a_library_runs_beside_it(sim, astrometer, tmp_path):
    (tmp_path / "json.py").write_text(
        "from astrometer.load import ReadsUser\nfrom locust import task\n" + USER
    )
    done = astrometer("load", "./json.py", "--host", sim.url, "-u", "1", "-t", "2s", "--out", "out")
    assert (tmp_path / "out" / "results.json").exists(), done.stderr


@pytest.mark.parametrize(
    ("file", "content"),
    [
        (
            "locust.conf",
            "master = true\nusers = 77\nrun-time = 1s\nheadful = true\nlist = true\ncsv = kept\n",
        ),
        ("pyproject.toml", '[tool.locust]\nworker = true\nprocesses = 3\nshape = "1:99s"\ncsv = "kept"\n'),
    ],
)
def test_what_a_conf_file_decides_is_left_out_and_named_and_the_rest_works(
    sim, astrometer, tmp_path, file, content
):
    (tmp_path / file).write_text(content)
    done = astrometer(
        "load", "reads", "--host", sim.url, "-u", "2", "-t", "3s", "--out", "out",
        LOCUST_MODE_MASTER="true", LOCUST_RUN_TIME="1s",
    )  # fmt: skip
    assert f"({file})" in done.stderr
    assert "LOCUST_MODE_MASTER (environment)" in done.stderr
    assert done.returncode in (0, 3), done.stderr
    assert (tmp_path / "out" / "results.json").exists()
    assert (tmp_path / "kept_stats.csv").exists()


def test_a_variable_of_an_option_that_the_command_does_not_take_changes_no_run(sim, astrometer, tmp_path):
    done = astrometer(
        "load", "reads", "--host", sim.url, "-u", "2", "-t", "3s", "--out", "out",
        ASTROMETER_RATE_UNIT="0.5", ASTROMETER_CAPACITY="true", ASTROMETER_WARMUP="1s",
    )  # fmt: skip
    assert "ASTROMETER_CAPACITY (environment), ASTROMETER_RATE_UNIT (environment)\n" in done.stderr
    results = json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))
    assert (results["users"], results["arrivals"], results["capacity"]) == (2, None, None)
    assert results["window"]["excluded_s"] >= 1  # `load` takes this one


@pytest.mark.parametrize("kind", ["conf", "environment", "plain"])
def test_tags_that_leave_nothing_to_do_are_named(sim, astrometer, tmp_path, kind):
    run = ("load", "reads", "--host", sim.url, "-u", "2", "-t", "3s", "--out", "out")
    if kind == "environment":
        done = astrometer(*run, LOCUST_TAGS="smoke")
    else:
        (tmp_path / "locust.conf").write_text("tags = smoke\n")
        plain = sim.command("reads")[1:]
        done = astrometer(*run) if kind == "conf" else astrometer(*plain[2:], program=plain[:2])
    where = {"conf": "(locust.conf)", "environment": "(LOCUST_TAGS)", "plain": ""}[kind]
    assert done.returncode == 2
    assert "tags smoke" in done.stderr
    assert where in done.stderr
    assert "without a task" in done.stderr


def test_a_locustfile_without_a_user_of_astrometer_is_refused_in_a_sentence(sim, astrometer, tmp_path):
    (tmp_path / "plain.py").write_text(PLAIN_USER)
    done = astrometer("load", "./plain.py", "--host", sim.url, "-u", "1", "-t", "3s", "--out", "out")
    assert done.returncode == 2
    assert "plain.py has no user of astrometer" in done.stderr
    assert "unrecognized" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("order", ["behind", "before"])
@pytest.mark.parametrize("group", ["", ".add_argument_group('mine')"])
@pytest.mark.parametrize("flag", ["--prompts", "--users"])
def test_an_argument_that_exists_already_is_named_without_a_traceback(
    sim, astrometer, tmp_path, order, group, flag
):
    adding = ADDING.format(group=group, flag=flag)
    (tmp_path / "own.py").write_text(CONFLICTS[order].format(adding=adding) + USER)
    plain = sim.command(str(tmp_path / "own.py"))[1:]
    run = ("load", "./own.py", "--host", sim.url, "-u", "1", "-t", "3s", "--out", "out")
    done = astrometer(*run) if order == "behind" else astrometer(*plain[2:], program=plain[:2])
    assert done.returncode == 2
    assert f"the locustfile adds {flag}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("load", "reads", "-u", "4", "-t", "0"),
        ("load", "reads", "-u", "4", "-t", "0", "--processes", "2"),
        ("capacity", "reads", "--slo", "errors < 1%"),
        ("demo", "--duration", "60s"),
        ("calibrate", "--streams", "20", "--duration", "60s"),
    ],
    ids=lambda arguments: " ".join(arguments[:1] + arguments[6:7]),
)
def test_kill_9_of_a_command_ends_its_load_at_once(sim, tmp_path, arguments):
    host = ("--host", sim.url) if arguments[0] in ("load", "capacity") else ()
    command = subprocess.Popen(
        [sys.executable, "-P", "-m", "astrometer", *arguments, *host],
        env={**sim.environment(), "ASTROMETER_STATE": str(tmp_path / "state")},
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wanted = 3 if "--processes" in arguments else 1
    with processes.ended_with_the_test(command) as child:
        me = psutil.Process(child.pid)

        def loading():
            locusts = processes.descendants(me, of="locust_process")
            return len(locusts) >= wanted and (not host or sim.served()) and processes.descendants(me)

        family = until(loading)
        child.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(family, timeout=3)
    for process in alive:
        process.kill()
    assert alive == []


def test_a_worker_ends_within_5_seconds_of_its_masters_death(sim, tmp_path):
    command = sim.command("reads", "--processes", "2", "--stop-timeout", "30", seconds=90)
    started = subprocess.Popen(command, env=sim.environment(), stderr=subprocess.DEVNULL, cwd=tmp_path)
    with processes.ended_with_the_test(started) as master:
        me = psutil.Process(master.pid)
        workers = until(lambda: len(found := processes.descendants(me)) == 2 and sim.served() and found)
        os.kill(master.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(workers, timeout=5)
    for process in alive:
        process.kill()
    assert alive == []


def test_a_master_that_is_busy_for_seconds_keeps_its_workers(sim, tmp_path):
    file = tmp_path / "busy.py"
    file.write_text(BUSY_MASTER + USER.replace("    @task", "    wait_time = constant(0.2)\n    @task"))
    results, _ = sim.locust(str(file), "--processes", "2", out=tmp_path, seconds=12)
    assert results["generator"]["lost_workers"] == 0
    assert results["generator"]["processes"] == 2
