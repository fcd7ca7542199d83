"""Bytes of a text/event-stream in any chunking -> server events and comments. No sockets, no clock.

The rules are WHATWG HTML, "Server-sent events", 9.2.6 "Interpreting an event stream". Comments, which
that text throws away, are kept: AstrBot's heartbeats are comments.
"""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias


class ServerEvent(NamedTuple):  # one is made per token: a frozen dataclass takes three times as long
    """One dispatched event; `event` is "message" when the stream named none."""

    data: str
    event: str = "message"
    id: str = ""


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment line, without its colon and one leading space."""

    text: str


Item: TypeAlias = ServerEvent | Comment

# A line, or an event of many lines, longer than this is a fault; without a bound it would fill the memory.
MAX_LINE_BYTES = 16 * 1024 * 1024
BOM = b"\xef\xbb\xbf"
_CR = 13  # as a number it is found in half the time


class LineTooLong(ValueError):
    """A line, or the lines of one event, grew past MAX_LINE_BYTES without an end."""


class SSEDecoder:
    """`feed` chunks, get the items that they completed. Bytes that are not UTF-8 become U+FFFD."""

    def __init__(self) -> None:
        self._tail = bytearray()  # of a line whose end is not here yet
        self._at_start = True
        self._after_cr = False
        self._data: list[str] = []
        self._data_chars = 0
        self._event = ""
        self._id = ""
        self._fields_seen = False

    @property
    def unfinished(self) -> bool:
        """Whether the stream stopped inside an event, which WHATWG says to discard."""
        return bool(self._tail) or self._fields_seen

    def lone(self, chunk: bytes) -> str | None:
        """The data of the only event in `chunk`, as in nearly each of AstrBot's; its type is "message".

        None: it is anything else, and to be fed.
        """
        if (
            chunk.startswith(b"data: ")
            and chunk.endswith(b"\n\n")
            and chunk.find(b"\n") == len(chunk) - 2
            and not (self._tail or self._fields_seen or self._after_cr or _CR in chunk)
        ):
            self._at_start = False
            return chunk[6:-2].decode("utf-8", "replace")
        return None

    def feed(self, chunk: bytes) -> list[Item]:
        """Return the items that `chunk` completed, in order. Raises LineTooLong."""
        if (
            chunk.startswith(b"data: ")
            and chunk.endswith(b"\n\n")
            and not (self._tail or self._fields_seen or self._after_cr or _CR in chunk)
        ):
            blocks = chunk[6:-2].split(b"\n\ndata: ")
            if chunk.count(b"\n") == 2 * len(blocks):
                self._at_start = False
                return [ServerEvent(_text(block), "message", self._id) for block in blocks]
        return self._any_lines(chunk)

    def _any_lines(self, chunk: bytes) -> list[Item]:
        if not chunk:
            return []
        if self._after_cr:
            # The CR ended the last line already; an LF that follows it belongs to it.
            chunk = chunk.removeprefix(b"\n")
        if self._at_start:
            # One BOM may lead the stream; wait until enough bytes are here to tell.
            chunk = bytes(self._tail) + chunk
            self._tail.clear()
            if len(chunk) < 3 and BOM.startswith(chunk):
                self._tail += chunk
                return []
            chunk = chunk.removeprefix(BOM)
            self._at_start = False
        self._after_cr = chunk.endswith(b"\r")
        # Only what is new is searched, and a line is put together when its end is here: a long one in small
        # chunks would be searched and copied again for each of them.
        *lines, rest = _split_lines(chunk)
        if lines and self._tail:
            self._tail += lines[0]
            lines[0] = bytes(self._tail)
            self._tail.clear()
        if rest:
            self._tail += rest
            if len(self._tail) > MAX_LINE_BYTES:
                raise LineTooLong(f"a line of more than {MAX_LINE_BYTES} bytes without an end")
        items = []
        for line in lines:
            item = self._line(line)
            if item is not None:
                items.append(item)
        return items

    def _line(self, line: bytes) -> Item | None:
        if not line:
            return self._dispatch()
        if line[:1] == b":":
            return Comment(_text(line[1:].removeprefix(b" ")))
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        self._fields_seen = True
        if name == b"data":
            self._data.append(_text(value))
            self._data_chars += len(value) + 1
            if self._data_chars > MAX_LINE_BYTES:
                raise LineTooLong(f"an event of more than {MAX_LINE_BYTES} bytes without an end")
        elif name == b"event":
            self._event = _text(value)
        elif name == b"id" and b"\0" not in value:
            self._id = _text(value)
        # "retry" and unknown fields are ignored: nothing here reconnects.
        return None

    def _dispatch(self) -> ServerEvent | None:
        data, event = self._data, self._event
        self._data, self._event, self._fields_seen = [], "", False
        self._data_chars = 0
        if not data:
            return None  # WHATWG: no data, no event
        return ServerEvent("\n".join(data), event or "message", self._id)


def _split_lines(buffer: bytes) -> list[bytes]:
    """Split at CRLF, LF and CR; the last element is the unfinished line."""
    if b"\r" in buffer:
        buffer = buffer.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return buffer.split(b"\n")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
