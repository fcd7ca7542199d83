"""Bytes that a connection is to send -> the system, as far as it takes them. The rest stays the next to go.

So nothing of what was once put in is lost or sent out of order, whoever stops waiting for it. No sockets.
"""

from collections.abc import Callable
from typing import TypeAlias

# Without waiting: how many bytes the system took. Raises BlockingIOError, and OSError of a broken connection.
Send: TypeAlias = Callable[[bytearray], int]


class Outbox:
    """Of one connection. `taken`: how many bytes the system took so far."""

    def __init__(self) -> None:
        self._unsent = bytearray()
        self.taken = 0

    def put(self, data: bytes | memoryview) -> None:
        """The last to go."""
        self._unsent += data

    def flush(self, send: Send) -> bool:
        """Let `send` take what it takes now; whether that was all. Raises OSError."""
        try:
            while self._unsent:
                count = send(self._unsent)
                self.taken += count
                del self._unsent[:count]
        except BlockingIOError:
            return False
        return True

    def take(self) -> bytes:
        """All that is to be sent, for whoever sends it otherwise."""
        data = bytes(self._unsent)
        self._unsent.clear()
        return data
