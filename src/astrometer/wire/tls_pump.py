"""TLS over memory: ciphertext in, plain bytes out, and back. No sockets.

So that the reads of a connection are our own, and carry the kernel's stamps: OpenSSL never sees the socket.
Whoever drives it sends what `take` gives after every call.
"""

import ssl
from contextlib import suppress
from typing import Any

from astrometer.wire.receive_stamps import BLOCK_BYTES

_HEAD_BYTES = 5  # of a record: type, version, and two bytes of its length (RFC 8446, 5.1)


class TlsPump:
    """One side of one connection. What OpenSSL complains of is raised as it is (ssl.SSLError)."""

    def __init__(self, context: Any, server_hostname: str | None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)
        self.ended = False  # the peer says no more, or is gone
        self._head = b""  # the beginning of a record's head
        self._left = 0  # bytes of a record that are still to come

    @property
    def object(self) -> Any:
        """OpenSSL's own, for its certificate."""
        return self._tls

    @property
    def is_whole(self) -> bool:
        """Whether all that came is records with their ends, and none of them was a goodbye."""
        return not (self._left or self._head or self.ended)

    def handshake(self) -> bool:
        """Whether it is done; else more ciphertext is wanted."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def feed(self, ciphertext: bytes) -> None:
        """What came in; empty: the connection ended."""
        if ciphertext:
            self._incoming.write(ciphertext)
            self._count_records(ciphertext)
        else:
            self._incoming.write_eof()

    def _count_records(self, ciphertext: bytes) -> None:
        """OpenSSL does not tell how much of a record it holds."""
        if self._head:
            ciphertext = self._head + ciphertext
        at, size = self._left, len(ciphertext)
        while at + _HEAD_BYTES <= size:
            at += _HEAD_BYTES + int.from_bytes(ciphertext[at + 3 : at + _HEAD_BYTES], "big")
        self._head, self._left = ciphertext[at:], max(0, at - size)

    def read(self) -> bytes:
        """All that can be decrypted of it. Empty: more is wanted, or it `ended`."""
        pieces: list[bytes] = []
        try:
            while piece := self._tls.read(BLOCK_BYTES):
                pieces.append(piece)
            self.ended = True
        except ssl.SSLWantReadError:
            pass  # the rest of a record is still to come
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self.ended = True  # closed in order, or without a word
        except ssl.SSLError:
            if not pieces:  # else it is raised by the next call
                raise
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

    def take(self) -> bytes:
        """Ciphertext that is to be sent."""
        return self._outgoing.read()
