"""A question over a WebSocket that stays open -> frames with the times of their arrival -> an exchange.

The socket is a load user's connection like any other (`load_client`), with a `wire.websocket_client` on it.
"""

from astrometer import __version__
from astrometer.api.chat.chat_exchange import ChatExchange
from astrometer.api.chat.events import EventKind
from astrometer.api.chat.socket_turn import CHAT_SOCKET, NO_SOCKET, SocketRefusal, SocketTurn
from astrometer.api.keep_alive import outcome_of_closing
from astrometer.api.outcome import Outcome
from astrometer.load.transport.deadline import Alarm
from astrometer.load.transport.link import Link
from astrometer.load.transport.load_client import Client, arrival, broken
from astrometer.load.transport.load_connection import Broken
from astrometer.wire.websocket_client import (
    MOST_CHARS,
    WebSocketClient,
    WsBroken,
    WsClosed,
    WsEvent,
    WsMessage,
    WsOpened,
    WsRefused,
    WsRefusedBody,
)

_LAST = frozenset({EventKind.END, EventKind.ERROR})


class ChatSocket(Client):
    """One user's WebSocket to one server. One turn at a time, as the server has it."""

    _socket: WebSocketClient
    _answered: bool  # something came since the question

    def ask(self, text: str, exchange: ChatExchange) -> None:
        """Drive `exchange` to its end, as `run` does. `text` is made by `api.socket_turn.question`."""
        self._drive(exchange, lambda: self._one_turn(text, exchange))

    def _one_turn(self, text: str, exchange: ChatExchange) -> None:
        link = self._link
        reused = link is not None and self._is_open(link, exchange)
        if link is None or not reused:
            self.close()
            link, _ = self._connected(exchange)
        try:
            early: list[WsEvent] = []
            is_welcome = reused or self._is_welcome(exchange, link, early)
            if is_welcome:
                self._take(early, SocketTurn(), exchange, link)  # a refusal may come with the handshake
                self._ask_and_hear(text, exchange, link, reused=reused)
        finally:
            exchange.network(link.network())
        if not is_welcome:
            self.close()

    def _ask_and_hear(self, text: str, exchange: ChatExchange, link: Link, *, reused: bool) -> None:
        now = link.receiver.read_at = self._now()  # nothing of the answer comes earlier
        began = self._asked_at if reused else now
        self._answered = False
        try:
            self._socket.say(text)
            self._write(exchange, link)
            ended = self._now()
            exchange.sending(began, ended)
            exchange.headers(ended, 200, "text/event-stream")
            self._hear(exchange, link)
        except Broken as exc:
            if exc.outcome is Outcome.RESET and not self._answered:
                raise Broken(*outcome_of_closing(reused=reused)) from exc
            raise

    def _is_open(self, link: Link, exchange: ChatExchange) -> bool:
        """Whether the server still holds it; what it said after the last turn is of no use."""
        try:
            while self._socket.is_open and (data := link.receive()):
                self._socket.feed(data)
                self._answer(exchange, link)
        except BlockingIOError:
            return True
        except (OSError, Broken):
            pass
        return False

    def _is_welcome(self, exchange: ChatExchange, link: Link, early: list[WsEvent]) -> bool:
        """The handshake; what came with its answer goes to `early`.

        False: the server answered something else, and the exchange is done.
        """
        key = self._key_for("chat")
        headers = [(b"User-Agent", f"astrometer/{__version__}".encode())]
        if key is not None:
            headers.append((b"Authorization", f"Bearer {key.reveal()}".encode()))
        self._socket = WebSocketClient()
        self._socket.open(self._origin.authority, self._origin.prefix + CHAT_SOCKET.path, headers)
        self._write(exchange, link)
        with Alarm() as alarm:
            while not exchange.done:
                events = self._heard(exchange, link, alarm)
                for number, event in enumerate(events, 1):
                    if isinstance(event, WsOpened):
                        early += events[number:]
                        return True
                    _note_refusal(event, exchange, link.receiver.t)
        return False

    def _hear(self, exchange: ChatExchange, link: Link) -> None:
        turn = SocketTurn()
        with Alarm() as alarm:
            while not exchange.done:
                self._take(self._heard(exchange, link, alarm), turn, exchange, link)

    def _take(self, events: list[WsEvent], turn: SocketTurn, exchange: ChatExchange, link: Link) -> None:
        """What came in one read."""
        t, since = link.receiver.t, None
        for event in events:
            if isinstance(event, WsClosed):
                raise Broken(Outcome.RESET, f"the server closed the WebSocket (code {event.code})")
            if isinstance(event, WsBroken):
                raise Broken(Outcome.MALFORMED, "not WebSocket")
            if not isinstance(event, WsMessage):
                continue
            if event.oversized:
                raise _too_long()
            exchange.arrived(t, len(event.text))
            item = turn.item(event.text)
            if isinstance(item, SocketRefusal):
                raise Broken(item.outcome, item.detail)
            if item is None:
                continue
            if not event.is_last and since is None:
                since = link.receiver.since
            taken = exchange.take(t, [item], None if event.is_last else since, is_last=False)
            if any(one.kind in _LAST for one in taken):
                exchange.eof(t)
                return
        if self._socket.is_too_long:
            raise _too_long()

    def _heard(self, exchange: ChatExchange, link: Link, alarm: Alarm) -> list[WsEvent]:
        """What came next."""
        self._answer(exchange, link)
        t = self._now()
        while True:
            alarm.set(exchange.deadline()[0], t)
            try:
                data = arrival(link, alarm)
                if data is not None:
                    break
            except OSError as exc:
                raise broken(exc) from exc
            t = self._now()
        if data:
            self._answered = True
            return self._socket.feed(data, is_whole=link.is_whole)
        if events := self._socket.eof():
            return events
        raise Broken(Outcome.RESET, "the server closed the WebSocket without a word")

    def _answer(self, exchange: ChatExchange, link: Link) -> None:
        """To pings and closes, after what came with them was heard. If it does not go out any more, what is
        still to be read comes first: the next read says why.
        """
        if data := self._socket.take():
            self._send_all(data, exchange, link)

    def _write(self, exchange: ChatExchange, link: Link) -> None:
        data = self._socket.take()
        if self._send_all(data, exchange, link) < len(data):
            raise Broken(Outcome.RESET, "connection reset")


def _too_long() -> Broken:
    return Broken(Outcome.MALFORMED, f"a message of more than {MOST_CHARS} characters")


def _note_refusal(event: WsEvent, exchange: ChatExchange, t: float) -> None:
    """An answer of HTTP: the exchange judges it as that of any request."""
    if isinstance(event, WsRefused):
        if 200 <= event.status < 300:
            raise Broken(Outcome.CLIENT_ERROR, NO_SOCKET)
        exchange.headers(t, event.status, event.content_type)
        if not event.has_body:
            exchange.eof(t)
    elif isinstance(event, WsRefusedBody):
        exchange.feed(t, event.data)
        if event.is_last:
            exchange.eof(t)
    elif isinstance(event, WsBroken):
        raise Broken(Outcome.MALFORMED, "not WebSocket")
