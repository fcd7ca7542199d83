"""Files, ports, memory and threads of this machine: enough for a run, and which of them ran out during one.

An exchange that could not open its socket says nothing of the server: it is DROPPED, and the run is INVALID.
"""

import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

MOST_FILES = 1 << 20
OWN_FILES = 64  # of a Locust process, beside its users' connections
BYTES_OF_USER = 30_000  # at the least: its greenlet, its connection and what it notes
_ERRORS = {
    errno.EMFILE: "open files",
    errno.ENFILE: "open files of the whole machine",
    errno.EADDRNOTAVAIL: "local ports",
    errno.ENOMEM: "memory",
    errno.ENOBUFS: "memory for sockets",
}
THREADS = "threads"


class TooLittle(ValueError):
    """The machine cannot carry the run; the text says what is missing, and how to get it."""


@dataclass(slots=True)
class Reached:
    """The limits that this process has run into since the last call of `take`."""

    names: set[str] = field(default_factory=set)
    listener: Callable[[str], None] | None = None  # hears of each at once

    def by(self, problem: BaseException | None) -> str | None:
        """The limit that `problem` is about, which is noted. None: it is about something else."""
        name = None
        if isinstance(problem, MemoryError):
            name = "memory"
        elif isinstance(problem, RuntimeError) and "start new thread" in str(problem):
            name = THREADS
        elif isinstance(problem, socket.gaierror):
            name = _no_more_files()  # the resolver does not say why it failed
        elif isinstance(problem, OSError):
            name = _ERRORS.get(problem.errno or 0)
        if name is not None:
            self.names.add(name)
            if self.listener is not None:
                self.listener(name)
        return name

    def take(self) -> list[str]:
        names, self.names = sorted(self.names), set()
        return names


reached = Reached()


def raise_open_files() -> None:
    """The soft limit to the hard one, within reason: a load generator needs a file for each connection."""
    with suppress(ImportError, OSError, ValueError):
        import resource  # noqa: PLC0415 (not on Windows)

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def check(users: int, processes: int, start_thread: Callable[[], Any] = lambda: None) -> None:
    """Raises TooLittle. `users`: at once, in all `processes`; each has a connection."""
    each = -(-users // max(1, processes))
    allowed = _open_files_allowed()
    if allowed is not None and each + OWN_FILES > allowed:
        raise TooLittle(
            f"{users} users need {each + OWN_FILES} open files in a process, which may have {allowed}: raise "
            f"the limit (ulimit -n {each + OWN_FILES}), or load with fewer users or more --processes"
        )
    ports = _local_ports()
    if ports is not None and users > ports:
        raise TooLittle(
            f"{users} users need as many local ports, and the system has {ports}: widen "
            "net.ipv4.ip_local_port_range, or load from several machines"
        )
    free = _free_memory()
    if users * BYTES_OF_USER > free:
        raise TooLittle(
            f"{users} users need at least {users * BYTES_OF_USER >> 20} MiB of memory, and {free >> 20} MiB "
            "are free: load with fewer users, or from several machines"
        )
    try:
        start_thread()
    except RuntimeError as exc:
        raise TooLittle(
            f"no thread can be started ({exc}): raise the limit of processes (ulimit -u, or pids.max of the "
            "container)"
        ) from exc


def _open_files_allowed() -> int | None:
    try:
        import resource  # noqa: PLC0415 (not on Windows)
    except ImportError:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def _no_more_files() -> str | None:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as exc:
        return _ERRORS.get(exc.errno or 0)
    return None


def _local_ports() -> int | None:
    try:
        first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split()
    except (OSError, ValueError):
        return None
    return int(last) - int(first) + 1


def _free_memory() -> int:
    """Bytes, of the machine and of its container."""
    free: int = psutil.virtual_memory().available
    with suppress(OSError, ValueError):
        folder = Path("/sys/fs/cgroup")
        limit = int((folder / "memory.max").read_text("ascii"))  # "max" is not a number: no limit
        free = min(free, limit - int((folder / "memory.current").read_text("ascii")))
    return max(0, free)
