"""`astrometer load` on a disk that is full, read-only or no disk at all. Real Locust, a real file system."""

import subprocess
import sys
from pathlib import Path

import pytest
from waiting import until

pytestmark = pytest.mark.process

# In a mount namespace of its own: a file system of 3 MiB that is filled up when the second argument exists.
FULL = """
set -e
mount -t tmpfs -o size=3m tmpfs "$1"
cd "$1"
shift
begun="$1"
shift
(until [ -e "$begun" ]; do sleep 0.1; done; cat /dev/zero > filler 2>/dev/null || true) &
code=0
"$@" || code=$?
: > "$begun"
exit $code
"""


def environment(sim, tmp_path):
    return {
        **sim.environment(),
        "ASTROMETER_STATE": str(tmp_path / "state"),
        "TMPDIR": str(tmp_path / "other"),
    }


def load(url, *arguments):
    return [
        *(sys.executable, "-P", "-m", "astrometer", "load", "reads", "--host", url, "-u", "2", "-t", "8s"),
        *arguments,
    ]


def is_under_way(sim):
    """Its users have read the sessions again, after `load` asked for them once before it started Locust."""
    return sim.served().get("sessions", 0) > 1


def can_mount():
    command = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_disk_that_fills_up_loses_nothing_and_changes_no_verdict(sim, tmp_path):
    try:
        possible = can_mount()
    except FileNotFoundError:
        possible = False
    if not possible:
        pytest.skip("no file system can be mounted here")
    (tmp_path / "small").mkdir()
    (tmp_path / "other").mkdir()
    begun = tmp_path / "begun"
    command = load(sim.url, "--out", "out", "--slo", "errors < 50%", "--slo", "throughput > 1000/s")
    command = ["unshare", "-m", "bash", "-c", FULL, "-", str(tmp_path / "small"), str(begun), *command]
    environ, pipe = environment(sim, tmp_path), subprocess.PIPE
    with subprocess.Popen(command, env=environ, stdout=pipe, stderr=pipe, text=True) as running:
        until(lambda: running.poll() is not None or is_under_way(sim))
        begun.touch()  # from here on the disk is full
        out, err = running.communicate(timeout=60)
    assert running.returncode in (1, 3), err  # as its verdict says
    assert ("FAIL" if running.returncode == 1 else "INVALID") in out
    assert "Traceback" not in err + out
    assert "No space left on device" in err
    (place,) = (tmp_path / "other").glob("astrometer-results-*")
    assert f"the files are in {place}" in err
    names = {"results.json", "report.html", "summary.md", "junit.xml"}
    assert {path.name for path in place.iterdir()} == names


@pytest.mark.parametrize("out", ["/proc/nothing", "/dev/null/x"])
def test_an_impossible_out_is_a_usage_error_before_anything_is_sent(sim, tmp_path, out):
    done = subprocess.run(
        load(sim.url, "--out", out), env=environment(sim, tmp_path), cwd=tmp_path, capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert out in done.stderr
    assert "another folder with --out" in done.stderr
    assert "Traceback" not in done.stderr
    assert sim.served() == {}


def test_plain_locust_tries_its_place_too(sim):
    command = sim.command("reads", "--astrometer-out", "/proc/nothing")
    done = subprocess.run(
        command, env=sim.environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "another folder with --astrometer-out" in done.stderr
    assert sim.served() == {}


def test_plain_locust_finds_another_place_at_the_end(sim, tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    out.mkdir()
    other.mkdir()
    file = tmp_path / "breaks.py"
    file.write_text(
        "import shutil\nfrom locust import events, task\nfrom astrometer.load import ReadsUser\n"
        "class Reader(ReadsUser):\n    @task\n    def read(self):\n        self.configs()\n"
        "@events.test_start.add_listener\ndef gone(environment, **_):\n"
        f"    shutil.rmtree({str(out)!r})\n    open({str(out)!r}, 'w').close()\n"
    )
    command = sim.command(str(file), "--astrometer-out", str(out), seconds=2)
    environ = {**sim.environment(), "TMPDIR": str(other)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    (place,) = other.glob("astrometer-results-*")
    assert (place / "results.json").exists()
    assert f"the files are in {place}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["compare", "capacity", "release"])
def test_every_command_tries_its_place_first(sim, tmp_path, command):
    arguments = {
        "compare": ("nothing", "nowhere"),
        "capacity": ("reads", "--host", sim.url, "--slo", "errors < 1%"),
        "release": ("--astrbot", "4.29.3", "--against", "4.28.2"),
    }[command]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "astrometer", command, *arguments, "--out", "/proc/nothing"],
        env=environment(sim, tmp_path), cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "another folder with --out" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] in ([], ["state"])
    assert not Path("/proc/nothing").exists()
