"""A Python module -> a child process that ends with its parent, however the parent ends.

    python -P -m astrometer.tethered FILE_NUMBER MODULE ARGUMENTS...

Parent and child hold the two ends of a socket. The parent never writes: when it is gone, even by SIGKILL, its
end closes, and a thread of the child kills the child's whole process group. Linux's PR_SET_PDEATHSIG would
not do: it fires when the *thread* that started the child ends, is forgotten by forked children, and exists
nowhere else. The child may `tell` its parent something through the same socket.

`-P` keeps the working directory off the child's module path: `python -m` puts it first, and a `json.py` that
lies there would run instead of Python's own.
"""

import os
import runpy
import signal
import socket
import subprocess
import sys
import weakref
from _thread import (
    start_new_thread,  # gevent's patch makes greenlets of threads that are started by name later
)
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

from astrometer import standard_streams

_read = os.read
_held: list[int] = []  # the child's end of the tether, in a child


def module_command(module: str, *arguments: str) -> list[str]:
    """`python -m MODULE ARGUMENTS` by this interpreter, without the working directory on the module path."""
    return [sys.executable, "-P", "-m", module, *arguments]


class Tethered(subprocess.Popen[bytes]):
    """`python -m MODULE ARGUMENTS` in a session of its own. It is killed when this object goes, too."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
    ) -> None:
        ours, theirs = socket.socketpair()
        weakref.finalize(self, ours.close)
        self.tether = ours
        with theirs:
            number = theirs.fileno()
            super().__init__(
                module_command("astrometer.tethered", str(number), module, *arguments),
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                pass_fds=(number,),
                start_new_session=True,
            )

    def kill_all(self) -> None:
        """The child and whatever it started in its session, at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def read_all(self) -> bytes:
        """All that the child sent with `tell`; returns when it is gone. Not to be called twice."""
        parts = []
        while part := self.tether.recv(1 << 20):
            parts.append(part)
        return b"".join(parts)


def tell(data: bytes) -> bool:
    """Send something to the parent. False: there is none that listens."""
    if not _held:
        return False
    try:
        with socket.socket(fileno=os.dup(_held[0])) as tether:
            tether.setblocking(True)
            tether.sendall(data)
    except OSError:
        return False
    return True


def is_tethered() -> bool:
    """Whether this process is a child of ours."""
    return bool(_held)


def hold(number: int) -> None:
    """From now on this process, and what is forked from it, ends with the parent at the other end."""
    os.set_inheritable(number, False)
    _held[:] = [number]
    start_new_thread(_watch, (number,))
    os.register_at_fork(after_in_child=lambda: start_new_thread(_watch, (number,)))


def _watch(number: int) -> None:
    try:
        while _read(number, 1):
            pass
    except ConnectionResetError:
        pass  # a parent that went with something unread
    except OSError:
        return  # closed here, by a fork that becomes another program: gevent's subprocess forks in Python
    os.killpg(os.getpgrp(), signal.SIGKILL)


def main() -> None:
    number, module = int(sys.argv[1]), sys.argv[2]
    hold(number)
    standard_streams.make_safe()
    sys.argv[:] = [module, *sys.argv[3:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    from astrometer import tethered  # noqa: PLW0406 (the one that others import, not this copy)

    tethered.main()
