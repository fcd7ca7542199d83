import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from astrometer.targets.sandbox.sandbox_state import MARK, SandboxState, read_state, reap, states, stop


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROMETER_CACHE", str(tmp_path / "cache"))
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "file").touch()
    return SandboxState(
        id=f"test{os.getpid()}{time.monotonic_ns()}",
        directory=str(tmp_path / "box"),
        owner_pid=os.getpid(),
        owner_started=psutil.Process().create_time(),
        version="4.29.3",
    )


def sleeper(state, program="import time; time.sleep(60)"):
    return subprocess.Popen([sys.executable, "-c", program], env={**os.environ, MARK: state.id})


def died(process):
    process.wait(5)  # raises when it lives; psutil may have taken its exit code
    return True


def test_a_state_survives_its_file(state):
    state.write()
    assert states() == [state]
    assert read_state(state.file) == state


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"id": 1, "more": 2}'])
def test_a_file_that_is_none_of_ours_is_no_state(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    assert read_state(tmp_path / "x.json") is None


def test_an_owner_whose_number_was_given_to_another_process_is_gone(state):
    assert state.owner is not None
    assert SandboxState(**{**vars_of(state), "owner_started": 1.0}).owner is None


def vars_of(state):
    return {name: getattr(state, name) for name in state.__slots__}


@pytest.mark.process
def test_reaping_ends_marked_processes_even_those_that_ignore_signals_and_no_other(state):
    state.write()
    stubborn = sleeper(
        state, "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    )
    bystander = sleeper(SandboxState(**{**vars_of(state), "id": f"{state.id}0"}))
    try:
        time.sleep(0.1)
        reap(state)
        assert died(stubborn)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
    assert not Path(state.directory).exists()
    assert states() == []


@pytest.mark.process
def test_stopping_what_a_killed_owner_left_behind(state):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    started = psutil.Process(gone.pid).create_time()
    gone.wait()
    orphaned = SandboxState(**{**vars_of(state), "owner_pid": gone.pid, "owner_started": started})
    orphaned.write()
    left = sleeper(state)
    time.sleep(0.1)
    stop(orphaned)
    assert died(left)
    assert states() == []


@pytest.mark.process
def test_an_owner_that_does_not_answer_is_killed(state):
    deaf = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
    )
    deaf.stdout.readline()
    owned = SandboxState(
        **{**vars_of(state), "owner_pid": deaf.pid, "owner_started": psutil.Process(deaf.pid).create_time()}
    )
    owned.write()
    stop(owned, patience_s=0.2)
    assert died(deaf)
    deaf.stdout.close()
    assert states() == []


@pytest.mark.process
def test_the_keeper_cleans_up_when_its_owner_goes_without_a_word(state):
    state.write()
    left = sleeper(state)
    command = [sys.executable, "-m", "astrometer.targets.sandbox.keeper", str(state.file)]
    keeper = subprocess.Popen(command, stdin=subprocess.PIPE)
    time.sleep(0.3)
    assert left.poll() is None
    keeper.stdin.close()
    assert keeper.wait(10) == 0
    assert died(left)
    assert states() == []
