"""A question over a WebSocket that stays open -> frames with the times of their arrival -> an exchange.

The socket is a load user's connection like any other (`load_client`), with wsproto's frames on it.
"""

from collections.abc import Iterable

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    RejectData,
    TextMessage,
)
from wsproto.events import Request as Upgrade
from wsproto.utilities import ProtocolError

from astrometer import __version__
from astrometer.api.chat_exchange import ChatExchange
from astrometer.api.events import EventKind
from astrometer.api.keep_alive import outcome_of_closing
from astrometer.api.outcome import Outcome
from astrometer.api.socket_turn import CHAT_SOCKET, NO_SOCKET, SocketRefusal, SocketTurn
from astrometer.load.transport.deadline import Alarm
from astrometer.load.transport.link import Link
from astrometer.load.transport.load_client import Client, arrival, broken
from astrometer.load.transport.load_connection import Broken

_LAST = frozenset({EventKind.END, EventKind.ERROR})
# An image in base64 is the longest that AstrBot sends; without a bound it would fill the memory.
MOST_CHARS = 16 * 1024 * 1024


class ChatSocket(Client):
    """One user's WebSocket to one server. One turn at a time, as the server has it."""

    _frames: WSConnection
    _texts: list[str]  # pieces of a message whose end is still to come
    _chars: int
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
            early: list[Event] = []
            is_welcome = reused or self._is_welcome(exchange, link, early)
            if is_welcome:
                self._take(early, SocketTurn(), exchange, link)  # a refusal may come with the handshake
                self._ask_and_hear(text, exchange, link, reused=reused)
        finally:
            exchange.network(link.network())
        if not is_welcome:
            self.close()

    def _ask_and_hear(self, text: str, exchange: ChatExchange, link: Link, *, reused: bool) -> None:
        now = link.came.read_at = self._now()  # nothing of the answer comes earlier
        began = self._asked_at if reused else now
        self._answered = False
        try:
            self._say(TextMessage(data=text), exchange, link)
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
            while self._frames.state is ConnectionState.OPEN:
                events = self._understood(link.receive())
                self._answer_pings(events, exchange, link)
                list(self._whole(events))  # the last of the turn before; nobody hears it
        except BlockingIOError:
            return True
        except (OSError, Broken):
            pass
        return False

    def _is_welcome(self, exchange: ChatExchange, link: Link, early: list[Event]) -> bool:
        """The handshake; what came with its answer goes to `early`.

        False: the server answered something else, and the exchange is done.
        """
        key = self._key_for("chat")
        headers = [(b"User-Agent", f"astrometer/{__version__}".encode())]
        if key is not None:
            headers.append((b"Authorization", f"Bearer {key.reveal()}".encode()))
        self._frames, self._texts, self._chars = WSConnection(ConnectionType.CLIENT), [], 0
        target = self._origin.prefix + CHAT_SOCKET.path
        self._say(Upgrade(host=self._origin.authority, target=target, extra_headers=headers), exchange, link)
        with Alarm() as alarm:
            while not exchange.done:
                events = self._heard(exchange, link, alarm)
                for number, event in enumerate(events, 1):
                    if isinstance(event, AcceptConnection):
                        early += events[number:]
                        return True
                    _note_rejection(event, exchange, link.came.t)
        return False

    def _hear(self, exchange: ChatExchange, link: Link) -> None:
        turn = SocketTurn()
        with Alarm() as alarm:
            while not exchange.done:
                self._take(self._heard(exchange, link, alarm), turn, exchange, link)

    def _take(self, events: list[Event], turn: SocketTurn, exchange: ChatExchange, link: Link) -> None:
        """What came in one read."""
        came, texts = link.came, list(self._whole(events))
        # The last one is that of the stamp, if nothing came after it.
        ends_whole = bool(texts) and isinstance(events[-1], TextMessage) and not self._texts and link.is_whole
        certain = len(texts) if ends_whole else 0
        for number, text in enumerate(texts, 1):
            exchange.arrived(came.t, len(text))
            item = turn.item(text)
            if isinstance(item, SocketRefusal):
                raise Broken(item.outcome, item.detail)
            if item is None:
                continue
            # Those before it came at some time since `since`.
            since = None if number == certain else came.since
            if any(event.kind in _LAST for event in exchange.take(came.t, [item], since, is_last=False)):
                exchange.eof(came.t)
                break
        for event in events:
            if isinstance(event, CloseConnection) and not exchange.done:
                raise Broken(Outcome.RESET, f"the server closed the WebSocket (code {int(event.code)})")

    def _whole(self, events: Iterable[Event]) -> Iterable[str]:
        """Messages that are complete; the pieces of another one are kept."""
        for event in events:
            if isinstance(event, TextMessage):
                self._texts.append(event.data)
                self._chars += len(event.data)
                if self._chars > MOST_CHARS:
                    raise Broken(Outcome.MALFORMED, f"a message of more than {MOST_CHARS} characters")
                if event.message_finished:
                    text, self._texts, self._chars = "".join(self._texts), [], 0
                    yield text

    def _heard(self, exchange: ChatExchange, link: Link, alarm: Alarm) -> list[Event]:
        """What came next."""
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
        if not data:
            raise Broken(Outcome.RESET, "the server closed the WebSocket without a word")
        self._answered = True
        events = self._understood(data)
        self._answer_pings(events, exchange, link)
        return events

    def _understood(self, data: bytes) -> list[Event]:
        """Empty `data`: the connection ended."""
        try:
            self._frames.receive_data(data or None)
            return list(self._frames.events())
        except ProtocolError as exc:
            raise Broken(Outcome.MALFORMED, "not WebSocket") from exc

    def _answer_pings(self, events: Iterable[Event], exchange: ChatExchange, link: Link) -> None:
        """A server that gets none takes this side for dead; one that has closed hears nothing any more."""
        for event in events:
            if isinstance(event, Ping) and self._frames.state is ConnectionState.OPEN:
                self._say(event.response(), exchange, link)

    def _say(self, event: Event, exchange: ChatExchange, link: Link) -> None:
        data = self._frames.send(event)
        if self._send_all(data, exchange, link) < len(data):
            raise Broken(Outcome.RESET, "connection reset")


def _note_rejection(event: Event, exchange: ChatExchange, t: float) -> None:
    """An answer of HTTP: the exchange judges it as that of any request."""
    if isinstance(event, RejectConnection):
        if 200 <= event.status_code < 300:
            raise Broken(Outcome.CLIENT_ERROR, NO_SOCKET)
        content_type = dict(event.headers).get(b"content-type", b"").decode("latin-1")
        exchange.headers(t, event.status_code, content_type)
        if not event.has_body:
            exchange.eof(t)
    elif isinstance(event, RejectData):
        exchange.feed(t, bytes(event.data))
        if event.body_finished:
            exchange.eof(t)
