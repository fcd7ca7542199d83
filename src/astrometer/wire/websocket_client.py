"""Bytes of one connection -> what a WebSocket's server said, and bytes to send. The client's side, sans-IO.

wsproto makes and reads the frames (RFC 6455). Here stands what every client has to do with them: put messages
together, keep none that has no end, answer pings and closes, and say which message ended with the last byte.

A text in one frame, which is nearly every message, is made and read here: wsproto takes ten times as long.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

NORMAL, PROTOCOL_ERROR = 1000, 1002
# An image in base64 is the longest that AstrBot sends; without a bound it would fill the memory.
MOST_CHARS = 16 * 1024 * 1024
_KEPT_HEAD, _KEPT_TAIL = 2048, 512
_WHOLE_TEXT = 0x81  # the first byte of such a frame: FIN, no extension, text


@dataclass(frozen=True, slots=True)
class WsOpened:
    """The handshake is done."""


@dataclass(frozen=True, slots=True)
class WsRefused:
    """The handshake was answered with something else, whose body may follow."""

    status: int
    content_type: str
    has_body: bool


@dataclass(frozen=True, slots=True)
class WsRefusedBody:
    """A piece of that body."""

    data: bytes
    is_last: bool


class WsMessage(NamedTuple):  # not a frozen data class, which takes four times as long to make
    """A whole message. `is_last`: its last byte is the last one that came.

    An `oversized` one has only its beginning in `text`, and its end in `tail`.
    """

    text: str
    is_last: bool
    oversized: bool = False
    tail: str = ""


@dataclass(frozen=True, slots=True)
class WsClosed:
    """A close frame came. It is answered, unless it is an answer."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class WsBroken:
    """That was no WebSocket. Nothing that comes afterwards is understood."""

    detail: str
    code: int = PROTOCOL_ERROR


WsEvent: TypeAlias = WsOpened | WsRefused | WsRefusedBody | WsMessage | WsClosed | WsBroken


class WebSocketClient:
    """One WebSocket, from its handshake to its end."""

    def __init__(self, *, most_chars: int = MOST_CHARS) -> None:
        self._frames = WSConnection(ConnectionType.CLIENT)
        self._ends = _FrameEnds()
        self._message = _Pieces(most_chars)
        self._most_chars = most_chars
        self._out = bytearray()
        self._broken = False

    @property
    def is_open(self) -> bool:
        return self._frames.state is ConnectionState.OPEN and not self._broken

    @property
    def is_too_long(self) -> bool:
        """Whether the message that is coming in is oversized already; it may never end."""
        return self._message.is_too_long

    def open(self, host: str, target: str, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Put the handshake into what is to be sent."""
        self._out += self._frames.send(Request(host=host, target=target, extra_headers=list(headers)))

    def say(self, text: str) -> None:
        """One message, on an open socket."""
        self._out += _text_frame(text.encode())

    def close(self) -> None:
        """Say goodbye on an open socket; the server's answer is a `WsClosed`."""
        self._out += self._frames.send(CloseConnection(code=NORMAL))

    def take(self) -> bytes:
        """What is to be sent now."""
        out = bytes(self._out)
        self._out.clear()
        return out

    def feed(self, data: bytes, *, is_whole: bool = True) -> list[WsEvent]:
        """Bytes that came in. `is_whole` False: something else came after them, such as half a TLS record."""
        texts, at = self._whole_texts(data)
        size = len(data)
        heard: list[WsEvent] = [WsMessage(text, is_whole and end == size) for text, end in texts]
        if at == size:
            return heard
        data = data[at:]
        is_whole = self._ends.feed(data) and is_whole
        events, problem = self._understood(data)
        last = len(events) if is_whole and problem is None else 0
        heard += [
            told
            for number, event in enumerate(events, 1)
            if (told := self._heard(event, is_last=number == last)) is not None
        ]
        if problem is not None:
            self._broken = True
            heard.append(WsBroken(str(problem)))
        return heard

    def eof(self) -> list[WsEvent]:
        """The connection ended: so may have the body of a refusal, which announced no length."""
        if self._frames.state is not ConnectionState.REJECTING:
            return []
        events, _ = self._understood(None)
        return [told for event in events if (told := self._heard(event, is_last=False)) is not None]

    def _whole_texts(self, data: bytes) -> tuple[list[tuple[str, int]], int]:
        """The texts in one frame each that `data` begins with, and where each ends; where the rest begins."""
        texts: list[tuple[str, int]] = []
        at, size = 0, len(data)
        if not (self._ends.is_between and self._message.is_empty and self.is_open):
            return texts, at
        while at + 4 <= size and data[at] == _WHOLE_TEXT:
            start, length = at + 2, data[at + 1]
            if length == 126:
                start, length = at + 4, data[at + 2] << 8 | data[at + 3]
                if length < 126:
                    break  # wsproto says what is wrong
            elif length > 126:
                break
            end = start + length
            if end > size or length > self._most_chars:
                break
            try:
                texts.append((str(data[start:end], "utf-8"), end))
            except UnicodeDecodeError:
                break
            at = end
        return texts, at

    def _understood(self, data: bytes | None) -> tuple[list[Event], Exception | None]:
        events: list[Event] = []
        try:
            self._frames.receive_data(data)
            for event in self._frames.events():
                events.append(event)  # noqa: PERF402 (it may raise after some)
        # The header fields of an answer to the handshake may hold anything.
        except (RemoteProtocolError, LocalProtocolError, UnicodeDecodeError) as exc:
            return events, exc
        return events, None

    def _heard(self, event: Event, *, is_last: bool) -> WsEvent | None:
        if isinstance(event, TextMessage | BytesMessage):
            data = event.data
            text = data if isinstance(data, str) else bytes(data).decode("utf-8", "replace")
            return self._message.add(text, ends=event.message_finished, is_last=is_last)
        if isinstance(event, Ping):
            # A server that gets none takes this side for dead; one that has closed hears nothing any more.
            if self.is_open:
                self._out += self._frames.send(event.response())
        elif isinstance(event, AcceptConnection):
            return WsOpened()
        elif isinstance(event, RejectConnection):
            content_type = dict(event.headers).get(b"content-type", b"").decode("latin-1")
            return WsRefused(event.status_code, content_type, event.has_body)
        elif isinstance(event, RejectData):
            return WsRefusedBody(bytes(event.data), event.body_finished)
        elif isinstance(event, CloseConnection):
            return self._closed(event)
        return None

    def _closed(self, event: CloseConnection) -> WsEvent:
        code, reason = int(event.code), event.reason or ""
        if self._frames.state is ConnectionState.OPEN:  # wsproto's way to say: that was no frame
            self._out += self._frames.send(CloseConnection(code=event.code))
            self._broken = True
            return WsBroken(reason or "not a WebSocket frame", code)
        if self._frames.state is ConnectionState.REMOTE_CLOSING:
            self._out += self._frames.send(event.response())
        return WsClosed(code, reason)


class _Pieces:
    """A message comes in pieces as its bytes do. Of one that is too long only both ends are kept."""

    def __init__(self, most_chars: int) -> None:
        self._most = most_chars
        self._pieces: list[str] = []
        self._size = 0
        self._head = self._tail = ""

    @property
    def is_too_long(self) -> bool:
        return self._size > self._most

    @property
    def is_empty(self) -> bool:
        """Whether no message has begun."""
        return not (self._pieces or self._size)

    def add(self, text: str, *, ends: bool, is_last: bool) -> WsMessage | None:
        self._size += len(text)
        if not self.is_too_long:
            self._pieces.append(text)
        else:
            if self._pieces or not self._tail:
                kept = "".join(self._pieces)
                self._pieces = []
                self._head = kept[:_KEPT_HEAD] or text[:_KEPT_HEAD]
                self._tail = kept[-_KEPT_TAIL:]
            self._tail = (self._tail + text)[-_KEPT_TAIL:]
        if not ends:
            return None
        if self.is_too_long:
            message = WsMessage(self._head, is_last, oversized=True, tail=self._tail)
        else:
            pieces = self._pieces
            message = WsMessage(pieces[0] if len(pieces) == 1 else "".join(pieces), is_last)
        self._pieces, self._size, self._head, self._tail = [], 0, "", ""
        return message


class _FrameEnds:
    """Where frames end, which wsproto does not tell of one whose head is still incomplete."""

    def __init__(self) -> None:
        self._answer: bytes | None = b""  # to the handshake: its last bytes, until its end has come
        self._head = b""  # of a frame, as far as it came
        self._left = 0  # bytes of a frame that are still to come

    @property
    def is_between(self) -> bool:
        """Whether the next byte begins a frame."""
        return self._answer is None and not (self._head or self._left)

    def feed(self, data: bytes) -> bool:
        """Whether the last byte so far is that of a frame."""
        if self._answer is not None:
            head, end, data = (self._answer + data).partition(b"\r\n\r\n")
            self._answer = None if end else head[-3:]
        if self._head:
            data = self._head + data
        at, size = self._left, len(data)
        while at < size:
            length = _frame_bytes(data, at)
            if length is None:
                break
            at += length
        self._head, self._left = data[at:], max(0, at - size)
        return not (self._head or self._left)


def _frame_bytes(data: bytes, at: int) -> int | None:
    """How long the frame is that begins there, head included; None: its head is incomplete."""
    if len(data) < at + 2:
        return None
    length = data[at + 1] & 0x7F  # a server masks nothing
    wide = {126: 2, 127: 8}.get(length, 0)
    if len(data) < at + 2 + wide:
        return None
    if wide:
        length = int.from_bytes(data[at + 2 : at + 2 + wide], "big")
    return 2 + wide + length


def _text_frame(payload: bytes) -> bytes:
    """A text in one frame, masked as a client's has to be (RFC 6455, 5.2 and 5.3)."""
    size = len(payload)
    if size < 126:
        head = bytes((_WHOLE_TEXT, 0x80 | size))
    elif size < 1 << 16:
        head = b"\x81\xfe" + size.to_bytes(2, "big")
    else:
        head = b"\x81\xff" + size.to_bytes(8, "big")
    key = os.urandom(4)
    mask = int.from_bytes((key * (size // 4 + 1))[:size], "big")
    return head + key + (int.from_bytes(payload, "big") ^ mask).to_bytes(size, "big")
