"""Bytes of one connection to AstrBot's OneBot adapter -> frames with their times, and bytes to send. Sans-IO.

One link is one WebSocket, from its handshake to its end; it never opens again. Times are absolute
`time.perf_counter` seconds: `t` is when the bytes left the socket at the latest, `since` when they were not
there yet.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from astrometer.api.outcome import Outcome
from astrometer.im.link.link_address import LinkAddress
from astrometer.im.link.link_end import ABNORMAL, LinkEnd, closed_by_peer, refused
from astrometer.outside_text import shown
from astrometer.wire.websocket_client import (
    MOST_CHARS,
    WebSocketClient,
    WsBroken,
    WsClosed,
    WsEvent,
    WsMessage,
    WsOpened,
    WsRefused,
)

Since: TypeAlias = Callable[[], float] | float | None


class LinkState(StrEnum):
    """Of one link, in this order."""

    NEW = "new"
    CONNECTING = "connecting"
    OPEN = "open"
    CLOSING = "closing"
    OVER = "over"


class InFrame(NamedTuple):
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

    def __init__(self, address: LinkAddress, *, most_chars: int = MOST_CHARS) -> None:
        self.address = address
        self.state = LinkState.NEW
        self.end: LinkEnd | None = None
        self.t_opened: float | None = None
        self.t_heard: float | None = None
        self._socket = WebSocketClient(most_chars=most_chars)

    def open(self) -> None:
        """Put the handshake into what is to be sent. Raises RuntimeError when it was opened before."""
        if self.state is not LinkState.NEW:
            raise RuntimeError("a link opens once: make another, after this one is over")
        self.state = LinkState.CONNECTING
        self._socket.open(self.address.netloc, self.address.target, self.address.headers)

    def send(self, text: str) -> bool:
        """One message to AstrBot; returns whether it is among what is to be sent."""
        if self.state is not LinkState.OPEN:
            return False
        self._socket.say(text)
        return True

    def feed(self, t: float, data: bytes, since: Since = None, *, is_whole: bool = True) -> list[InFrame]:
        """Bytes that were read -> the messages that they completed.

        The last byte came at `t` (`is_whole` False: something else did, after them), and none before `since`,
        which is asked only where it matters.
        """
        if self.state in (LinkState.NEW, LinkState.OVER) or not data:
            return []
        self.t_heard = t
        found: list[InFrame] = []
        for event in self._socket.feed(data, is_whole=is_whole):
            if isinstance(event, WsMessage):
                began = t
                if not event.is_last and since is not None:
                    began = since = since() if callable(since) else since
                found.append(InFrame(t, began, event.text, event.oversized, event.tail))
            else:
                self._event(t, event)
            if self.end is not None:
                break
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
            self._socket.close()
            self.state = LinkState.CLOSING
        elif self.state in (LinkState.NEW, LinkState.CONNECTING):
            self._finish(LinkEnd(outcome=Outcome.CLIENT_CANCEL, t=t, detail="given up", asked_for=True))

    def take(self) -> bytes:
        """What is to be sent now."""
        return self._socket.take()

    def _event(self, t: float, event: WsEvent) -> None:
        if isinstance(event, WsOpened):
            self.state = LinkState.OPEN
            self.t_opened = t
        elif isinstance(event, WsRefused):
            self._finish(refused(t, event.status))
        elif isinstance(event, WsBroken):
            self._finish(self._broken(t, event.detail, event.code))
        elif isinstance(event, WsClosed):
            is_answer = self.state is LinkState.CLOSING
            left_by = self._left(t, event.code) if is_answer else closed_by_peer(t, event.code, event.reason)
            self._finish(left_by)

    def _left(self, t: float, code: int) -> LinkEnd:
        outcome, detail = Outcome.CLIENT_CANCEL, "the messenger left"
        return LinkEnd(outcome=outcome, t=t, code=code, opened=True, asked_for=True, detail=detail)

    def _broken(self, t: float, detail: str, code: int) -> LinkEnd:
        opened = self.state in (LinkState.OPEN, LinkState.CLOSING)
        text = f"not a WebSocket: {shown(detail, 120)}"
        return LinkEnd(
            outcome=Outcome.MALFORMED, t=t, code=code if opened else None, opened=opened, detail=text
        )

    def _finish(self, end: LinkEnd) -> None:
        self.state = LinkState.OVER
        self.end = end
