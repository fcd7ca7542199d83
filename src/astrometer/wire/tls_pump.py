"""TLS over memory: ciphertext in, plain bytes out, and back. No sockets.

So that the reads of a connection are our own, and carry the kernel's stamps: OpenSSL never sees the socket.
What was decrypted is given out before any error is raised, also one that came up meanwhile: of a broken
record behind it, or of a write.
"""

import ssl
from contextlib import suppress
from typing import Any

from astrometer.wire.outbox import Outbox, Send
from astrometer.wire.receive_stamps import BLOCK_BYTES

_HEAD_BYTES = 5  # of a record: type, version, and two bytes of its length (RFC 8446, 5.1)


class TlsPump:
    """One side of one connection. What OpenSSL complains of is raised as it is (ssl.SSLError)."""

    def __init__(self, context: Any, server_hostname: str | None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)
        self.ended = False  # the peer says no more, or is gone
        self._announced = False  # and said so
        self._problem: ssl.SSLError | None = None  # with what came, behind what was decrypted
        self._unwritten: OSError | None = None  # nothing can be sent; what came may still be read
        self._outbox = Outbox()
        self._head = b""  # the beginning of a record's head
        self._left = 0  # bytes of a record that are still to come
        self._ends_with_data = False  # the last record, which may also be of TLS's own

    @property
    def object(self) -> Any:
        """OpenSSL's own, for its certificate."""
        return self._tls

    @property
    def taken(self) -> int:
        """How many bytes the system took so far."""
        return self._outbox.taken

    @property
    def is_whole(self) -> bool:
        """Whether the last byte that came is one of what `receive` gave last: the end of its record."""
        return self._ends_with_data and not (self._left or self._head or self.is_over)

    @property
    def is_over(self) -> bool:
        """Whether nothing more can be read: `end` says why."""
        return self.ended or self._problem is not None

    def handshake(self) -> bool:
        """Whether it is done; else more ciphertext is wanted."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def receive(self, ciphertext: bytes, send: Send) -> bytes:
        """What came in, empty at the end of the connection -> what can be decrypted of it.

        Empty: more is wanted, or it `is_over`. What TLS has to say to it goes out, as far as `send` takes it.
        """
        last = self._last_record(ciphertext)
        plain = b""
        if last > 0:  # apart: is it one of data?
            self._incoming.write(ciphertext[:last])
            plain = self.read()
        if not self.is_over:
            self._hear(ciphertext[last:])
            more = self.read()
            self._ends_with_data = bool(more)
            plain = plain + more if plain else more
        try:
            self.flush(send)
        except OSError as exc:
            self._unwritten = exc
        return plain if plain or not self.is_over else self.end()

    def end(self) -> bytes:
        """Empty, where the connection ended; else raises why it `is_over`: ssl.SSLError, OSError."""
        if self._problem is not None:
            raise self._problem
        if self._unwritten is not None and not self._announced:
            raise self._unwritten  # the end is that of a connection which broke
        return b""

    def feed(self, ciphertext: bytes) -> None:
        """What came in; empty: the connection ended. Of a handshake: then it is read by `handshake`."""
        self._last_record(ciphertext)
        self._hear(ciphertext)

    def _hear(self, ciphertext: bytes) -> None:
        if ciphertext:
            self._incoming.write(ciphertext)
        else:
            self._incoming.write_eof()

    def _last_record(self, ciphertext: bytes) -> int:
        """Where the last record of it begins; 0 where that did before. OpenSSL does not tell how much of a
        record it holds.
        """
        begun = len(self._head)
        if begun:
            ciphertext = self._head + ciphertext
        last, at, size = 0, self._left, len(ciphertext)
        while at + _HEAD_BYTES <= size:
            last = at
            at += _HEAD_BYTES + int.from_bytes(ciphertext[at + 3 : at + _HEAD_BYTES], "big")
        self._head, self._left = ciphertext[at:], max(0, at - size)
        return max(0, last - begun)

    def read(self) -> bytes:
        """All that can be decrypted of what was fed. Empty: more is wanted, or it `is_over`."""
        pieces: list[bytes] = []
        try:
            while piece := self._tls.read(BLOCK_BYTES):
                pieces.append(piece)
            self.ended = True
        except ssl.SSLWantReadError:
            pass  # the rest of a record is still to come
        except ssl.SSLZeroReturnError:
            self.ended = self._announced = True
        except ssl.SSLEOFError:
            self.ended = True
        except ssl.SSLError as exc:
            self._problem = exc
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def write(self, plain: bytes | memoryview) -> None:
        """Encrypt all of it."""
        view = memoryview(plain)
        while view:
            view = view[self._tls.write(view) :]

    def close(self) -> None:
        """Say goodbye, as far as the state of the connection allows."""
        with suppress(ssl.SSLError):
            self._tls.unwrap()

    def flush(self, send: Send) -> bool:
        """Let `send` take what is to be sent; whether it took all. Raises OSError."""
        self._outbox.put(self._outgoing.read())
        return self._outbox.flush(send)

    def take(self) -> bytes:
        """All that is to be sent."""
        self._outbox.put(self._outgoing.read())
        return self._outbox.take()
