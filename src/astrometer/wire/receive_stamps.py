"""A connected TCP socket -> what came in, and when: by the kernel's receive stamps, not by Python's turn.

Linux stamps every segment as it arrives and hands the stamp over with the data (SO_TIMESTAMPNS, `recvmsg`).
How late the reader was is the difference between the wall clock now and the stamp; the time of arrival is
`perf_counter` minus that. So a clock that is set harms the reads of that moment at most, and those fall back.

What a stamp cannot tell: a reader that comes later than the next segment finds them merged, with the last
one's stamp. What came earlier lies between the read before (`since`) and that stamp (`t`). A stamp of just
now does not show that the reader was in time for what came before: who waits for the socket knows (`Turns`).
"""

import atexit
import math
import os
import socket
import struct
from collections.abc import Callable, Iterable
from enum import StrEnum
from functools import cache
from time import perf_counter, time
from typing import Any, Protocol

BLOCK_BYTES = 64 * 1024
IN_TIME_S = 0.001  # a stamp that is older, or contradicts what was read before by more, is looked at again
# A clock was set, if one believes to be later than this, or earlier than not at all.
MOST_LATE_S = 10.0
VARIABLE = "ASTROMETER_CLOCK"

_SO_TIMESTAMPNS = 35  # Python has no name for it
_ROOM = 32  # for one control message: a header of 16 bytes and a timespec
_timespec = struct.Struct("@ll").unpack
_HEAD_START_S = 0.2  # the kernel begins to stamp a little after the first socket asked for it


class StampClock(StrEnum):
    """Who says when something arrived."""

    KERNEL = "kernel"
    USER = "user"  # the process itself, when it gets hold of it


class UnknownClock(ValueError):
    """$ASTROMETER_CLOCK says neither `kernel` nor `user`."""


class Turns(Protocol):
    """Those of the event loop, or of the thread, that reads."""

    def unread_since(self, t: float) -> float:
        """Since when, at the earliest, something may have waited that this turn reads; the last came at `t`.

        -inf: that is not known. inf: nothing came before the last.
        """
        ...


class _NoTurns:
    """Of a reader whose loop does not tell."""

    def unread_since(self, t: float) -> float:  # noqa: ARG002
        return -math.inf


_NO_TURNS = _NoTurns()


class StampedReceiver:
    """The receiving half of one socket, which is non-blocking. After `receive`: `t`, `since`, `by_kernel`.

    `t`: when the last byte arrived (`perf_counter`). `since`: nothing of it came earlier; equal to `t` for a
    process that stamps by itself, which knows no better.
    `buffer` may be shared by all receivers of one thread.
    """

    __slots__ = (
        "_buffer",
        "_empty_at",
        "_now",
        "_recvmsg_into",
        "_room",
        "_size",
        "_turns",
        "_view",
        "_wall",
        "by_kernel",
        "full_reads",
        "read_at",
        "t",
    )

    def __init__(
        self,
        sock: Any,
        buffer: bytearray,
        *,
        now: Callable[[], float] = perf_counter,
        wall: Callable[[], float] = time,
        turns: Turns = _NO_TURNS,
    ) -> None:
        self._now, self._wall, self._turns = now, wall, turns
        self._room = _ROOM if stamp_clock() is StampClock.KERNEL and _ask_for_stamps(sock) else 0
        self._recvmsg_into = sock.recvmsg_into if hasattr(sock, "recvmsg_into") else _without_control(sock)
        self._buffer, self._view, self._size = [buffer], memoryview(buffer), len(buffer)
        self.by_kernel = False
        self.full_reads = 0  # that found a block or more waiting
        # `read_at`: what came earlier was read; `_empty_at`: the same, before the last read. Taken before the
        # system reads: this process may have been interrupted, or have waited for Python's lock, afterwards.
        self.t = self.read_at = self._empty_at = now()

    @property
    def since(self) -> float:
        """Nothing of what was received came earlier. To be asked at once, and only when it matters."""
        if not self.by_kernel:
            return self._empty_at
        return min(self.t, max(self._empty_at, self._turns.unread_since(self.t)))

    def receive(self) -> bytes:
        """What is there; empty at the end of the stream. Raises BlockingIOError when nothing is there."""
        began = self._now()
        count, control, _, _ = self._recvmsg_into(self._buffer, self._room)
        now = self._now()
        self._empty_at = self.read_at
        if control and control[0][1] == _SO_TIMESTAMPNS:
            seconds, nanoseconds = _timespec(control[0][2])
            late_s = self._wall() - seconds - nanoseconds * 1e-9
            if 0.0 <= late_s <= IN_TIME_S and now - late_s >= self.t:  # nearly always
                self.t = now - late_s
                self.by_kernel = True
            else:
                self._judge(seconds + nanoseconds * 1e-9, late_s, now)
        else:
            self._fall_back(now, count)
        if count == self._size:  # there may be more, which came before
            self.full_reads += 1
        elif began > self.read_at:
            self.read_at = began
        return bytes(self._view[:count])

    def _judge(self, stamp: float, late_s: float, now: float) -> None:
        """Late, or a clock was set."""
        t = now - late_s
        if late_s > IN_TIME_S:
            # Or this process was interrupted between the two clocks: the nearer reading is the better one.
            again = self._now()
            t = max(t, again - (self._wall() - stamp))
        # What was read before had come before: a stamp that contradicts it is one of a clock that was set.
        if not 0.0 <= late_s <= MOST_LATE_S or t < self.read_at - IN_TIME_S:
            self._fall_back(now, 1)
            return
        self.by_kernel = True
        self.t = max(t, self.t)

    def _fall_back(self, now: float, count: int) -> None:
        """No stamp, or none to believe: it came before `now`. `count` 0: the end, which never has one."""
        self.by_kernel = False
        self.t = now
        if not (self._room and count):
            self._empty_at = now


def _ask_for_stamps(sock: Any) -> bool:
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True


def _without_control(sock: Any) -> Callable[..., Any]:
    """`recvmsg_into` of a system that has none (Windows)."""
    return lambda buffers, _room: (sock.recv_into(buffers[0]), [], 0, None)


def wanted_clock() -> StampClock:
    """What $ASTROMETER_CLOCK says. Raises UnknownClock."""
    wanted = os.environ.get(VARIABLE, "").strip().lower() or StampClock.KERNEL.value
    if wanted not in set(StampClock):
        raise UnknownClock(f"{VARIABLE}={wanted}: it can be {' or '.join(StampClock)}")
    return StampClock(wanted)


@cache
def stamp_clock() -> StampClock:
    """Whether this system stamps; found out once, on a connection to itself. Raises UnknownClock.

    The connection stays open: the kernel stamps as long as some socket asks for it, and begins with a delay.
    """
    if wanted_clock() is StampClock.USER or not hasattr(socket.socket, "recvmsg_into"):
        return StampClock.USER
    try:
        return StampClock.KERNEL if _gives_stamps() else StampClock.USER
    except OSError:  # no loopback, no such option
        return StampClock.USER


def worst_clock(clocks: Iterable[str]) -> StampClock:
    """Of several processes: `kernel` where all of them say so."""
    return StampClock.KERNEL if set(clocks) == {StampClock.KERNEL.value} else StampClock.USER


def _gives_stamps() -> bool:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname(), timeout=_HEAD_START_S)
        far, _ = server.accept()
    with far:
        near.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        atexit.register(near.close)  # not sooner
        give_up = perf_counter() + _HEAD_START_S
        while perf_counter() < give_up:
            far.send(b".")
            if near.recvmsg(1, _ROOM)[1]:  # its timeout is an OSError
                return True
    return False
