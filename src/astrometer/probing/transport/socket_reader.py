"""A socket -> what came in, each read with its times, for a loop that has other things to do.

`LoopReader` reads when the loop gets to it. That is enough where the last byte counts: the kernel stamps it.
But the kernel merges what waits unread and keeps the last stamp alone. So the events of a stream are read by
a thread, as they come, however late the loop is (`PromptReader`). It waits inside the system's own read,
which takes what comes without asking for Python's lock. Whether it was in time is `ReaderTurns`' to tell.
"""

import asyncio
import socket
from collections import deque
from contextlib import suppress
from threading import Condition, Thread
from typing import NamedTuple

import anyio

from astrometer.probing.transport.reader_turns import ReaderTurns, is_empty
from astrometer.wire.receive_stamps import BLOCK_BYTES, StampClock, StampedReceiver
from astrometer.wire.tcp_info import data_segments

MOST_WAITING_BYTES = 256 * 1024  # read and not asked for yet: then the server has to wait


class LoopReader:
    """`t`, `since`, `clock`: of what `receive` gave last. `waits`: somebody is waiting for more."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._receiver = self._new_receiver(sock)
        self.t = self.since = self._receiver.t
        self.clock = StampClock.USER  # until the kernel has stamped a read
        self.waits = False

    def _new_receiver(self, sock: socket.socket) -> StampedReceiver:
        return StampedReceiver(sock, bytearray(BLOCK_BYTES))

    def asked(self, t: float) -> None:
        """A question begins to leave: nothing of its answer comes before `t`."""
        self._receiver.read_at = t

    async def receive(self) -> bytes:
        """What is there; empty at the end. It always waits a moment, so that a server that never pauses does
        not keep the loop from its timers.
        """
        while True:
            self.waits = True
            try:
                await anyio.wait_readable(self._socket)
            finally:
                self.waits = False
            try:
                data = self._receiver.receive()
            except BlockingIOError:
                continue
            self._note(_Read(data, self._receiver.t, self._receiver.since, self._receiver.by_kernel))
            return data

    def is_readable(self) -> bool:
        """Whether `receive` would have something: data, or the end."""
        return not is_empty(self._socket)

    def send(self, data: "bytearray | memoryview") -> int:
        """How many bytes of it the system took. Raises BlockingIOError, and OSError of what broke."""
        return self._socket.send(data)

    def close(self) -> None:
        anyio.notify_closing(self._socket)
        self._socket.close()

    def _note(self, read: "_Read") -> None:
        self.t, self.since = read.t, read.since
        if read.by_kernel:
            self.clock = StampClock.KERNEL


class _Read(NamedTuple):
    """`data` is empty at the end, which an `error` may have brought."""

    data: bytes
    t: float
    since: float
    by_kernel: bool
    error: OSError | None = None


class PromptReader(LoopReader):
    """Reads in a thread of its own from the start, up to MOST_WAITING_BYTES ahead. Linux."""

    def __init__(self, sock: socket.socket) -> None:
        self._turns = ReaderTurns(sock)
        super().__init__(sock)
        sock.setblocking(True)
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self._reads: deque[_Read] = deque()
        self._state = Condition()  # of what follows
        self._waiting_bytes = 0
        self._thread_over = self._closing = False
        self._noted_segments = self._turns.segments  # whose bytes are in `_reads`, or still in the socket
        Thread(target=self._read_all, name="probe reader", daemon=True).start()

    def _new_receiver(self, sock: socket.socket) -> StampedReceiver:
        return StampedReceiver(sock, bytearray(BLOCK_BYTES), turns=self._turns)

    async def receive(self) -> bytes:
        self.waits = True
        try:
            await asyncio.sleep(0)
            while not self._reads:
                self._arrived.clear()
                await self._arrived.wait()
        finally:
            self.waits = False
        read = self._reads[0]
        if read.data:  # the end stays where it is
            self._reads.popleft()
            with self._state:
                self._waiting_bytes -= len(read.data)
                self._state.notify()
        self._note(read)
        if read.error is not None:
            raise read.error
        return read.data

    def is_readable(self) -> bool:
        in_thread = data_segments(self._socket) != self._noted_segments
        return bool(self._reads) or in_thread or super().is_readable()

    def send(self, data: "bytearray | memoryview") -> int:
        return self._socket.send(data, socket.MSG_DONTWAIT)

    def close(self) -> None:
        """The last of the two closes the socket: its number must not become another file's meanwhile."""
        with self._state:
            self._closing = True
            self._state.notify()
            if self._thread_over:
                self._socket.close()
            else:
                with suppress(OSError):  # reset already: the thread knows
                    self._socket.shutdown(socket.SHUT_RDWR)
        self._arrived.set()

    def _read_all(self) -> None:
        try:
            while self._has_room():
                read = self._read()
                self._waiting_bytes_grew(len(read.data))
                self._reads.append(read)
                self._noted_segments = self._turns.segments
                self._loop.call_soon_threadsafe(self._arrived.set)
                if not read.data:
                    return
        except RuntimeError:
            return  # the loop is closed: nobody will ask
        finally:
            self._turns.close()
            with self._state:
                self._thread_over = True
                if self._closing:
                    self._socket.close()

    def _read(self) -> _Read:
        receiver, turns = self._receiver, self._turns
        if (empty_at := turns.begin()) is not None:
            receiver.read_at = max(empty_at, receiver.read_at)
        try:
            data = receiver.receive()
        except OSError as exc:
            return _Read(b"", receiver.t, receiver.t, by_kernel=False, error=exc)
        turns.end()
        return _Read(data, receiver.t, receiver.since, receiver.by_kernel)

    def _has_room(self) -> bool:
        """Waits for some. False: nobody wants more."""
        with self._state:
            while self._waiting_bytes > MOST_WAITING_BYTES and not self._closing:
                self._state.wait()
            return not self._closing

    def _waiting_bytes_grew(self, count: int) -> None:
        with self._state:
            self._waiting_bytes += count
