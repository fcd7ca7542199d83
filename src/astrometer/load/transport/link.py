"""One connection of a load user, plain or TLS: wait, receive with the time of arrival, send. gevent only."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import perf_counter
from typing import Any

import gevent
from gevent.socket import wait_write

from astrometer.api.network_stats import NetworkStats
from astrometer.load.transport.loop_turns import turns_of_loop
from astrometer.wire.outbox import Outbox
from astrometer.wire.receive_stamps import BLOCK_BYTES, StampedReceiver
from astrometer.wire.tcp_info import tcp_info
from astrometer.wire.tls_pump import TlsPump

_READ = 1  # libev's EV_READ
_buffer = bytearray(BLOCK_BYTES)  # of all connections: what was read is copied before anybody else's turn


class Link:
    """A connected gevent socket. `receiver`: when what was received last had arrived."""

    def __init__(self, sock: Any) -> None:
        self._socket = sock
        self._hub = gevent.get_hub()
        # A watcher of its own: `recv` would first try in vain, which is an exception per event.
        self._readable = self._hub.loop.io(sock.fileno(), _READ)
        self._is_attended = False
        self.is_whole = True  # the last byte that came belongs to what `receive` returned last
        inner = sock._sock  # noqa: SLF001 (gevent's own methods would wait)
        self.receiver = StampedReceiver(inner, _buffer, turns=turns_of_loop())
        self._send_now = inner.send
        self._outbox = Outbox()  # of what `push` was given
        # At the last call of `network`.
        self._network_before = NetworkStats(retransmits=0, out_of_order=0)

    @property
    def is_over(self) -> bool:
        """Whether `receive` has only the end left, or an error."""
        return False

    def fileno(self) -> int:
        return int(self._socket.fileno())

    @contextmanager
    def attended(self) -> Iterator[None]:
        """Meanwhile this greenlet waits for nothing else: the watcher need not start for each wait."""
        self._readable.start(gevent.getcurrent().switch)
        self._is_attended = True
        try:
            yield
        finally:
            self._is_attended = False
            self._readable.stop()

    def wait(self) -> None:
        """Until there is something to receive; `attended`, now and then sooner."""
        if self._is_attended:
            self._hub.switch()
        else:
            self._hub.wait(self._readable)

    def receive(self) -> bytes:
        """What is there; empty at the end. Raises BlockingIOError when there is nothing yet."""
        return self.receiver.receive()

    def send(self, data: memoryview, timeout_s: float) -> int:
        """How many bytes of it the system took. Raises TimeoutError."""
        self._socket.settimeout(timeout_s)
        return int(self._socket.send(data))

    def push(self, data: bytes) -> bool:
        """Without waiting: what the system does not take now of it goes with the next call. Whether all went.

        Raises OSError. Not to be mixed with `send`.
        """
        self._outbox.put(data)
        return self._outbox.flush(self._send_now)

    @property
    def taken(self) -> int:
        """How many bytes of what was pushed the system took."""
        return self._outbox.taken

    def writable(self, limit_s: float) -> bool:
        """Wait until the system takes something; whether it does within the limit."""
        try:
            wait_write(self.fileno(), limit_s)
        except TimeoutError:
            return False
        return True

    def hang_up(self) -> None:
        """Whoever waits for something to receive finds the end. To be closed as before."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def network(self) -> NetworkStats:
        """What the kernel says of this connection since the last call, or since it began."""
        info, before, full_reads = tcp_info(self._socket), self._network_before, self.receiver.full_reads
        if info is None:
            self._network_before = before._replace(full_reads=full_reads)
            return NetworkStats(full_reads=full_reads - before.full_reads)
        self._network_before = NetworkStats(info.min_rtt_s, info.retransmits, info.out_of_order, full_reads)
        return NetworkStats(
            rtt_s=info.min_rtt_s,
            retransmits=_since(before.retransmits, info.retransmits),
            out_of_order=_since(before.out_of_order, info.out_of_order),
            full_reads=full_reads - before.full_reads,
        )

    def close(self) -> None:
        self._readable.close()
        with suppress(OSError):
            self._socket.close()


class TlsLink(Link):
    """The same, encrypted. What OpenSSL complains of is raised as it is."""

    def __init__(self, sock: Any, context: Any, server_hostname: str) -> None:
        super().__init__(sock)
        self._tls = TlsPump(context, server_hostname)

    @property
    def is_over(self) -> bool:
        return self._tls.is_over

    def handshake(self) -> None:
        """Waits without a limit: a timer of the caller's ends it."""
        done = False
        while not done:
            try:
                done = self._tls.handshake()
            finally:
                with suppress(OSError):  # what the other side said before it left is read first
                    self._flush(None)
            if not done:
                self.wait()
                with suppress(BlockingIOError):
                    self._tls.feed(self.receiver.receive())

    def wait(self) -> None:
        if not self._tls.is_over:
            super().wait()

    def receive(self) -> bytes:
        if self._tls.is_over:
            return self._tls.end()
        plain = self._tls.receive(self.receiver.receive(), self._send_now)
        self.is_whole = self._tls.is_whole
        if not (plain or self._tls.is_over):
            raise BlockingIOError  # the rest of a record is still to come
        return plain

    def send(self, data: memoryview, timeout_s: float) -> int:
        self._tls.write(data)
        self._flush(perf_counter() + timeout_s)
        return len(data)

    def push(self, data: bytes) -> bool:
        self._tls.write(data)
        return self._tls.flush(self._send_now)

    @property
    def taken(self) -> int:
        return self._tls.taken

    def _flush(self, until: float | None) -> None:
        """Raises TimeoutError. What did not go out then stays the next to go."""
        while not self._tls.flush(self._send_now):
            left_s = None if until is None else max(0.0, until - perf_counter())
            wait_write(self.fileno(), left_s, TimeoutError("the other side takes nothing"))


def _since(before: int | None, now: int | None) -> int | None:
    return None if before is None or now is None else now - before
