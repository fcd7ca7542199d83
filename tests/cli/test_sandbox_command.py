"""`astrometer sandbox` as a user runs it: a process, its output, its signals, what is left."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest
from onebot_client import headers, refused_with
from waiting import until

from astrometer.targets.sandbox.sandbox_state import MARK

pytestmark = pytest.mark.process

PROGRAM = [sys.executable, "-c", "from astrometer.cli import main; main(prog_name='astrometer')", "sandbox"]


def run(*arguments, **environ):
    environ = {**os.environ, **environ}
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, timeout=300, env=environ, check=False
    )


def left_of(identity):
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == identity or any(identity in part for part in process.cmdline()):
                found.append(process.cmdline())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def gone(facts):
    folder = Path(facts["data_dir"]).parent
    return until(lambda: not left_of(facts["id"]) and not folder.exists())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--rate-limit", "30"], "MESSAGES/SECONDS"),
        (["--rate-limit", "0/60"], "MESSAGES/SECONDS"),
        (["--model-timeout", "0"], "model-timeout"),
        (["--ttft", "200 ms"], "write 30s, 1m30s or 250ms"),
        (["down", "nobody"], "no sandbox 'nobody'"),
        (["sideways"], "No such command"),
    ],
)
def test_a_wrong_use_exits_2_and_says_why(tmp_path, arguments, says):
    done = run(*arguments, ASTROMETER_CACHE=str(tmp_path))
    assert done.returncode == 2
    assert says in done.stderr


def test_without_python_312_it_exits_4_and_names_the_cure(tmp_path):
    done = run(
        "--astrbot",
        "4.18.0",
        ASTROMETER_CACHE=str(tmp_path),
        ASTROMETER_ASTRBOT_PYTHON=str(tmp_path / "none"),
    )
    assert done.returncode == 4
    assert "ASTROMETER_ASTRBOT_PYTHON" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_to_stop_is_no_error(tmp_path):
    assert run("down", ASTROMETER_CACHE=str(tmp_path)).stdout == "no sandbox is running\n"
    assert json.loads(run("list", "--json", ASTROMETER_CACHE=str(tmp_path)).stdout) == []


@pytest.mark.astrbot
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGKILL, -signal.SIGKILL)])
def test_json_tells_all_and_a_signal_leaves_nothing(python_for_astrbot, number, code):
    with subprocess.Popen(
        [*PROGRAM, "--json", "--messenger"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as up:
        line = up.stdout.readline()
        assert line, up.stderr.read()
        facts = json.loads(line)
        names = {"chat", "config", "file", "im", "all", "revoked", "expired"}
        assert set(facts["keys"]) == set(facts["key_ids"]) == names
        assert httpx.get(f"{facts['url']}/api/stat/start-time").status_code == 200
        assert facts["id"] in run("list").stdout
        messenger = facts["messenger"]
        assert refused_with(messenger["url"], headers(messenger["token"])) is None
        assert messenger["token"] not in Path(facts["log"]).read_text("utf-8")
        secrets = {*facts["keys"].values(), facts["dashboard"]["password"], messenger["token"]}
        shown = " ".join(part for command in left_of(facts["id"]) for part in command)
        assert not [secret for secret in secrets if secret in shown]
        up.send_signal(number)
        assert up.wait(20) == code
    assert gone(facts)


@pytest.mark.astrbot
@pytest.mark.timeout(600)
def test_a_detached_one_is_ended_by_down(python_for_astrbot):
    facts = json.loads(run("up", "--detach", "--json").stdout)
    assert httpx.get(f"{facts['url']}/api/stat/start-time").status_code == 200
    assert facts["stop"].endswith(f"astrometer sandbox down {facts['id']}")
    assert run("down", facts["id"]).returncode == 0
    assert gone(facts)


@pytest.mark.astrbot
@pytest.mark.timeout(600)
def test_killed_while_it_starts_it_leaves_nothing(python_for_astrbot):
    with subprocess.Popen(
        [*PROGRAM, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as up:
        while "starting" not in up.stderr.readline():
            pass
        time.sleep(1)
        (identity,) = [row["id"] for row in json.loads(run("list", "--json").stdout) if row["pid"] == up.pid]
        up.kill()
    until(lambda: not left_of(identity))
    assert identity not in run("list").stdout


@pytest.mark.astrbot
def test_a_port_that_is_taken_is_said_so(python_for_astrbot):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("--astrbot", "4.18.0", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 4
    assert "in use" in done.stderr
