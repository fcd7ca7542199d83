"""Running sandboxes -> a state file each, and an end of all they started, whoever is left to do it.

Every process of a sandbox carries its id in the environment, so that nothing has to be written down between
a start and a crash. `reap` is called by the sandbox itself, by its keeper when the owner died without a word,
and by `astrometer sandbox down`.
"""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from astrometer.targets.sandbox.install import cache_root

MARK = "ASTROMETER_SANDBOX_ID"


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxState:
    """What is written about a running sandbox. No secret."""

    id: str
    directory: str
    owner_pid: int
    owner_started: float
    version: str
    url: str | None = None  # None while it starts
    server_pid: int | None = None  # AstrBot's own

    @property
    def file(self) -> Path:
        return states_directory() / f"{self.id}.json"

    @property
    def owner(self) -> psutil.Process | None:
        """The process that runs the sandbox; None when it is gone."""
        try:
            process = psutil.Process(self.owner_pid)
            # The number may have gone to another process since.
            return process if abs(process.create_time() - self.owner_started) < 1 else None
        except psutil.NoSuchProcess:
            return None

    def write(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps(asdict(self)), encoding="utf-8")
        part.replace(self.file)


def states_directory() -> Path:
    return cache_root() / "sandboxes"


def states() -> list[SandboxState]:
    """All sandboxes that run, or were left behind by a crash."""
    files = sorted(states_directory().glob("*.json"))
    return [state for file in files if (state := read_state(file)) is not None]


def read_state(file: Path) -> SandboxState | None:
    """None when the file is gone or is not one of ours."""
    try:
        return SandboxState(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def server_pid_of(port: int | None) -> int | None:
    """The server's process of the sandbox that listens on this port of this machine; None without one."""
    found = (state for state in states() if state.url is not None and state.owner is not None)
    return next((state.server_pid for state in found if urlsplit(state.url).port == port), None)


def reap(state: SandboxState, *, give_up_s: float = 10.0) -> None:
    """Kill every process of this sandbox, remove its folder and its state file.

    Raises TimeoutError when a process does not die.
    """
    deadline = time.monotonic() + give_up_s
    while processes := list(processes_of(state.id)):
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(processes, timeout=0.5)
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes of sandbox {state.id} do not end: {[p.pid for p in processes]}")
    shutil.rmtree(state.directory, ignore_errors=True)
    state.file.unlink(missing_ok=True)


def stop(state: SandboxState, *, patience_s: float = 20.0) -> None:
    """Ask the owner to end its sandbox; kill the owner when it does not; then see that nothing is left.

    A sandbox of this very process is only reaped. Raises TimeoutError.
    """
    owner = state.owner
    if owner is not None and owner.pid != os.getpid():
        with suppress(psutil.NoSuchProcess):
            owner.terminate()
        deadline = time.monotonic() + patience_s
        while state.file.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        if state.file.exists() and state.owner is not None:
            with suppress(psutil.NoSuchProcess):
                owner.kill()
    reap(state)


def processes_of(identity: str) -> Iterator[psutil.Process]:
    me = os.getpid()
    for process in psutil.process_iter():
        try:
            if (
                process.pid != me
                and process.environ().get(MARK) == identity
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
