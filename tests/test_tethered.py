"""Children that end with their parent, however it ends, and that run no stranger's file. Real processes."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from astrometer.tethered import Tethered, module_command

pytestmark = pytest.mark.process

SOURCE = Path(__file__).parent.parent / "src"
# A child that forks, is busy in Python for ever, and says who it is.
BUSY = """
import os, sys
from astrometer.tethered import tell
forked = os.fork()
if forked:
    print(os.getpid(), forked, flush=True)
while True:
    pass
"""
PARENT = """
import sys, threading
from astrometer.tethered import Tethered
children = []
# Of a thread that ends at once: the child belongs to the process.
thread = threading.Thread(target=lambda: children.append(Tethered("busy", [])))
thread.start()
thread.join()
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "busy.py").write_text(BUSY)
    return tmp_path


def environment(folder):
    return {**os.environ, "PYTHONPATH": f"{SOURCE}{os.pathsep}{folder / 'modules'}"}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, None])
def test_child_and_grandchild_end_with_their_parent(folder, how):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], env=environment(folder), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    family = [psutil.Process(int(number)) for number in parent.stdout.readline().split()]
    assert all(process.is_running() for process in family)
    if how is None:
        parent.stdin.close()  # it comes to its end
    else:
        parent.send_signal(how)
    parent.wait(10)
    _, alive = psutil.wait_procs(family, timeout=5)
    parent.stdin.close()
    parent.stdout.close()
    for process in alive:
        process.kill()
    assert alive == []


def test_the_parent_lives_and_so_does_the_child_until_it_is_told_to_go(folder, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", environment(folder)["PYTHONPATH"])
    child = Tethered("busy", [], stdout=subprocess.PIPE)
    family = [psutil.Process(int(number)) for number in child.stdout.readline().split()]
    assert child.poll() is None
    child.kill_all()
    _, alive = psutil.wait_procs(family, timeout=5)
    child.wait(5)
    child.stdout.close()
    assert alive == []


def test_what_a_child_tells_arrives_whole(folder, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", environment(folder)["PYTHONPATH"])
    (folder / "modules" / "teller.py").write_text(
        "import sys\nfrom astrometer.tethered import tell\nassert tell(sys.argv[1].encode() * 1_000_000)\n"
    )
    child = Tethered("teller", ["abc"])
    said = child.read_all()
    assert child.wait(10) == 0
    assert said == b"abc" * 1_000_000


def test_a_file_of_the_working_directory_does_not_run(tmp_path):
    for name in ("json", "gevent", "locust", "httpx", "click", "astrometer", "typing", "socket", "runpy"):
        (tmp_path / f"{name}.py").write_text("print('a stranger ran')\nraise SystemExit(7)\n")
    command = module_command("astrometer", "--version")
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(SOURCE)}, capture_output=True, text=True,
        check=False, timeout=30,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("astrometer")


def test_python_m_astrometer_itself_runs_no_file_of_the_working_directory(tmp_path):
    for name in ("click", "httpx", "rich", "pydantic"):
        (tmp_path / f"{name}.py").write_text("print('a stranger ran')\nraise SystemExit(7)\n")
    done = subprocess.run(
        [sys.executable, "-m", "astrometer", "load", "--help"], cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(SOURCE)}, capture_output=True, text=True, check=False,
        timeout=30,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "a stranger ran" not in done.stdout


def test_every_child_is_started_by_the_one_way_that_is_safe():
    other = [
        f"{path.relative_to(SOURCE)}: {line.strip()}"
        for path in SOURCE.rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if re.search(r'(sys\.executable|\bpython), "-(m|c)"', line) and path.name != "tethered.py"
    ]
    assert other == []


CLOSED = """
import os
from astrometer import tethered
copy = os.dup(0)
os.close(copy)
tethered._watch(copy)  # as in a fork of gevent's subprocess, whose main thread has closed it
"""


def test_a_fork_that_closes_its_copy_of_the_tether_kills_nobody(tmp_path, monkeypatch):
    (tmp_path / "closing.py").write_text(CLOSED)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    assert Tethered("closing", []).wait(60) == 0
