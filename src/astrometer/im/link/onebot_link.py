"""Bytes of one connection to AstrBot's OneBot adapter -> frames with their times, and bytes to send. Sans-IO.

One link is one WebSocket, from its handshake to its end; it never opens again. Times are absolute
`time.perf_counter` seconds: `t` is when the bytes left the socket at the latest, `since` when they were not
there yet.
"""

from dataclasses import dataclass
from enum import StrEnum

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from astrometer.api.outcome import Outcome
from astrometer.im.link.link_address import LinkAddress
from astrometer.im.link.link_end import (
    ABNORMAL,
    NORMAL,
    PROTOCOL_ERROR,
    LinkEnd,
    closed_by_peer,
    refused,
)
from astrometer.outside_text import shown

MAX_FRAME_BYTES = 16 * 1024 * 1024  # an image comes as base64 inside
_KEPT_HEAD, _KEPT_TAIL = 2048, 512


class LinkState(StrEnum):
    """Of one link, in this order."""

    NEW = "new"
    CONNECTING = "connecting"
    OPEN = "open"
    CLOSING = "closing"
    OVER = "over"


@dataclass(frozen=True, slots=True, kw_only=True)
class InFrame:
    """One whole message from AstrBot: it arrived after `since`, and at `t` at the latest.

    An `oversized` one has only its beginning in `text`, and its end in `tail`.
    """

    t: float
    since: float
    text: str
    oversized: bool = False
    tail: str = ""


class OneBotLink:
    """One WebSocket, as its client."""

    def __init__(self, address: LinkAddress, *, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self.address = address
        self.state = LinkState.NEW
        self.end: LinkEnd | None = None
        self.t_opened: float | None = None
        self.t_heard: float | None = None
        self._max_bytes = max_frame_bytes
        self._ws = WSConnection(ConnectionType.CLIENT)
        self._out = bytearray()
        self._parts: list[str] = []
        self._size = 0
        self._head = ""  # of a message that is too long
        self._tail = ""

    def open(self) -> None:
        """Put the handshake into what is to be sent. Raises RuntimeError when it was opened before."""
        if self.state is not LinkState.NEW:
            raise RuntimeError("a link opens once: make another, after this one is over")
        self.state = LinkState.CONNECTING
        address = self.address
        request = Request(host=address.netloc, target=address.target, extra_headers=address.headers)
        self._out += self._ws.send(request)

    def send(self, text: str) -> bool:
        """One message to AstrBot; returns whether it is among what is to be sent."""
        if self.state is not LinkState.OPEN:
            return False
        self._out += self._ws.send(TextMessage(data=text))
        return True

    def feed(self, t: float, data: bytes, since: float | None = None) -> list[InFrame]:
        """Bytes that were read at `t` -> the messages that they completed."""
        if self.state in (LinkState.NEW, LinkState.OVER) or not data:
            return []
        self.t_heard = t
        found: list[InFrame] = []
        try:
            self._ws.receive_data(data)
            for event in self._ws.events():
                self._event(t, t if since is None else since, event, found)
                if self.end is not None:
                    break
        # The header fields of an answer to the handshake may hold anything.
        except (RemoteProtocolError, LocalProtocolError, UnicodeDecodeError) as exc:
            self._finish(self._broken(t, str(exc)))
        return found

    def eof(self, t: float) -> None:
        """The connection is closed, without a close frame."""
        if self.state is LinkState.CONNECTING:
            self._finish(
                LinkEnd(outcome=Outcome.RESET, t=t, detail="closed before an answer to the handshake")
            )
        elif self.state is LinkState.OPEN:
            detail = "the connection to AstrBot ended without a close frame (1006)"
            self._finish(LinkEnd(outcome=Outcome.LOST_LINK, t=t, code=ABNORMAL, opened=True, detail=detail))
        elif self.state is not LinkState.OVER:
            self._finish(self._left(t, ABNORMAL))

    def lost(self, t: float, outcome: Outcome, detail: str = "") -> None:
        """The connection could not be made (`dns`, `connect`, `tls`, ...), or broke."""
        if self.state is LinkState.OVER:
            return
        if self.state is LinkState.CLOSING:
            self._finish(self._left(t, ABNORMAL))
            return
        opened = self.state is LinkState.OPEN
        if opened:
            outcome = Outcome.LOST_LINK
        code = ABNORMAL if opened else None
        self._finish(LinkEnd(outcome=outcome, t=t, code=code, opened=opened, detail=shown(detail)))

    def close(self, t: float) -> None:
        """Leave properly: a close frame, and over when AstrBot's comes, or the connection ends."""
        if self.state is LinkState.OPEN:
            self._out += self._ws.send(CloseConnection(code=NORMAL))
            self.state = LinkState.CLOSING
        elif self.state in (LinkState.NEW, LinkState.CONNECTING):
            self._finish(LinkEnd(outcome=Outcome.CLIENT_CANCEL, t=t, detail="given up", asked_for=True))

    def take(self) -> bytes:
        """What is to be sent now."""
        out = bytes(self._out)
        self._out.clear()
        return out

    def _event(self, t: float, since: float, event: Event, found: list[InFrame]) -> None:
        if isinstance(event, TextMessage):
            self._part(t, since, event.data, found, whole=event.message_finished)
        elif isinstance(event, BytesMessage):
            text = bytes(event.data).decode("utf-8", "replace")
            self._part(t, since, text, found, whole=event.message_finished)
        elif isinstance(event, Ping):
            if self._ws.state is ConnectionState.OPEN:
                self._out += self._ws.send(event.response())
        elif isinstance(event, AcceptConnection):
            self.state = LinkState.OPEN
            self.t_opened = t
        elif isinstance(event, RejectConnection):
            self._finish(refused(t, event.status_code))
        elif isinstance(event, CloseConnection):
            self._closed(t, event)

    def _part(self, t: float, since: float, text: str, found: list[InFrame], *, whole: bool) -> None:
        """A message comes in parts as its bytes do. Of one that is too long only both ends are kept."""
        self._size += len(text)
        if self._size <= self._max_bytes:
            self._parts.append(text)
        else:
            if self._parts:
                kept = "".join(self._parts)
                self._parts = []
                self._head = kept[:_KEPT_HEAD] or text[:_KEPT_HEAD]
                self._tail = kept[-_KEPT_TAIL:]
            elif not self._tail:
                self._head = text[:_KEPT_HEAD]
            self._tail = (self._tail + text)[-_KEPT_TAIL:]
        if not whole:
            return
        if self._size <= self._max_bytes:
            parts = self._parts
            found.append(InFrame(t=t, since=since, text=parts[0] if len(parts) == 1 else "".join(parts)))
        else:
            found.append(InFrame(t=t, since=since, text=self._head, oversized=True, tail=self._tail))
        self._parts, self._size, self._tail = [], 0, ""

    def _closed(self, t: float, event: CloseConnection) -> None:
        if self._ws.state is ConnectionState.OPEN:  # the library's way to say: that was no WebSocket frame
            self._out += self._ws.send(CloseConnection(code=event.code))
            self._finish(self._broken(t, event.reason or "not a WebSocket frame", int(event.code)))
            return
        if self.state is LinkState.CLOSING:
            self._finish(self._left(t, int(event.code)))
            return
        self._out += self._ws.send(event.response())
        self._finish(closed_by_peer(t, int(event.code), event.reason or ""))

    def _left(self, t: float, code: int) -> LinkEnd:
        outcome, detail = Outcome.CLIENT_CANCEL, "the messenger left"
        return LinkEnd(outcome=outcome, t=t, code=code, opened=True, asked_for=True, detail=detail)

    def _broken(self, t: float, detail: str, code: int = PROTOCOL_ERROR) -> LinkEnd:
        opened = self.state in (LinkState.OPEN, LinkState.CLOSING)
        text = f"not a WebSocket: {shown(detail, 120)}"
        return LinkEnd(
            outcome=Outcome.MALFORMED, t=t, code=code if opened else None, opened=opened, detail=text
        )

    def _finish(self, end: LinkEnd) -> None:
        self.state = LinkState.OVER
        self.end = end
        self._parts.clear()
