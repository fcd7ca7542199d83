"""One connection of a load user, plain or TLS: wait, receive with the time of arrival, send. gevent only."""

from contextlib import suppress
from typing import Any

import gevent

from astrometer.wire.receive_stamps import BLOCK_BYTES, StampedReceiver
from astrometer.wire.tls_pump import TlsPump

_READ = 1  # libev's EV_READ
_buffer = bytearray(BLOCK_BYTES)  # of all connections: what was read is copied before anybody else's turn


class Link:
    """A connected gevent socket. `came`: when what was received last had arrived."""

    def __init__(self, sock: Any) -> None:
        self._socket = sock
        self._hub = gevent.get_hub()
        # A watcher of its own: `recv` would first try in vain, which is an exception per event.
        self._readable = self._hub.loop.io(sock.fileno(), _READ)
        self.came = StampedReceiver(sock._sock, _buffer)  # noqa: SLF001 (gevent's `recvmsg_into` would wait)

    def fileno(self) -> int:
        return int(self._socket.fileno())

    def wait(self) -> None:
        """Until there is something to receive."""
        self._hub.wait(self._readable)

    def receive(self) -> bytes:
        """What is there; empty at the end. Raises BlockingIOError when there is nothing yet."""
        return self.came.receive()

    def send(self, data: memoryview, timeout_s: float) -> int:
        """How many bytes of it the system took. Raises TimeoutError."""
        self._socket.settimeout(timeout_s)
        return int(self._socket.send(data))

    def close(self) -> None:
        self._readable.close()
        with suppress(OSError):
            self._socket.close()


class TlsLink(Link):
    """The same, encrypted. What OpenSSL complains of is raised as it is."""

    def __init__(self, sock: Any, context: Any, server_hostname: str) -> None:
        super().__init__(sock)
        self._tls = TlsPump(context, server_hostname)

    def handshake(self) -> None:
        """Waits without a limit: a timer of the caller's ends it."""
        try:
            while not self._tls.handshake():
                self._flush()
                self.wait()
                with suppress(BlockingIOError):
                    self._tls.feed(self.came.receive())
        finally:
            self._flush()  # the last word, or why there is none

    def receive(self) -> bytes:
        self._tls.feed(self.came.receive())
        plain = self._tls.read()
        self._flush()
        if not plain and not self._tls.ended:
            raise BlockingIOError  # the rest of a record is still to come
        return plain

    def send(self, data: memoryview, timeout_s: float) -> int:
        self._socket.settimeout(timeout_s)
        self._tls.write(data)
        self._socket.sendall(self._tls.take())
        return len(data)

    def _flush(self) -> None:
        if ciphertext := self._tls.take():
            self._socket.sendall(ciphertext)
