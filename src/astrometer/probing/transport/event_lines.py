"""Body bytes of a text/event-stream -> the same with LF at each line's end, and what httpx-sse does not tell.

httpx-sse drops comments, which is what AstrBot's heartbeats are. And it holds a CR back until more comes, so
that in a stream with such lines every event would be late by one. No sockets, no clock.
"""

from astrometer.api.chat.sse import BOM

_SHOWS = len(BOM) + 1  # so much of a line's beginning tells whether it is a comment


class EventLines:
    """`feed` chunks. After it: `comments` that ended since `take_comments`, and whether all is `whole`."""

    def __init__(self) -> None:
        self._begun = b""  # the beginning of a line whose end is not here yet
        self._at_start = True
        self._after_cr = False
        self._fields_seen = False
        self._ended = False
        self._comments = 0

    @property
    def whole(self) -> bool:
        """The last byte so far is that of an event."""
        return self._ended and not self._begun

    def take_comments(self) -> int:
        """How many comments ended since this was asked last."""
        count, self._comments = self._comments, 0
        return count

    def feed(self, chunk: bytes) -> bytes:
        """`chunk` with LF for CRLF and CR; an LF after a CR of the chunk before is part of that one."""
        if not chunk:
            return b""
        if self._after_cr:
            chunk = chunk.removeprefix(b"\n")
        self._after_cr = chunk.endswith(b"\r")
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            self._line(self._begun + line)
            self._begun = b""
        self._begun = (self._begun + rest[:_SHOWS])[:_SHOWS]
        return chunk

    def _line(self, line: bytes) -> None:
        if self._at_start:
            line = line.removeprefix(BOM)
            self._at_start = False
        self._ended = not line and self._fields_seen
        if line[:1] == b":":
            self._comments += 1
        else:
            self._fields_seen = bool(line)
