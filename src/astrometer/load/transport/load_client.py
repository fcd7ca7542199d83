"""A request -> chunks, each with the time of its arrival -> an exchange. HTTP/1.1 under gevent.

The loop is: receive what is there, with the time at which it arrived, then parse. Nothing waits for a full
buffer or a line. Every wait ends at the own deadline of the exchange, so heartbeats extend nothing. No
redirects, no gzip, one retry: that of `api.keep_alive`, which is counted. One client is one user: it has one
connection, kept alive.
"""

import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from gevent import GreenletExit

from geventhttpclient._parser import HTTPResponseParser
from geventhttpclient.response import HTTPParseError, HTTPResponse

from astrometer import __version__
from astrometer.api.endpoints import Scope
from astrometer.api.keep_alive import MAX_IDLE_S, idle_limit_s, may_repeat, outcome_of_closing
from astrometer.api.network_stats import NetworkStats
from astrometer.api.outcome import Outcome
from astrometer.config.secret import Secret
from astrometer.load.generator_limits import reached
from astrometer.load.transport.deadline import Alarm, Expired, Ring
from astrometer.load.transport.link import Link
from astrometer.load.transport.load_connection import Broken, Origin, Resolve, dial, is_stale
from astrometer.load.turnstile import breathe
from astrometer.wire.chunked_body import WholeChunks, ends_with
from astrometer.wire.tls import DEFAULT, TlsSettings, reason_of

# Heads, interim answers, chunk extensions, trailers: more in a row without a byte of an answer is a fault.
MAX_SILENT_BYTES = 64 * 1024


class Exchange(Protocol):
    """What the client drives: `api.chat.chat_exchange.ChatExchange`, or `api.call_exchange.CallExchange`."""

    def sent(self, t: float) -> None: ...
    def sending(self, began: float, ended: float) -> None: ...
    def body_began(self, t: float) -> None: ...
    def body_sent(self, t: float) -> None: ...
    def sent_again(self) -> None: ...
    def network(self, stats: NetworkStats) -> None: ...
    def headers(
        self, t: float, status: int, content_type: str, location: str = "", encoding: str = ""
    ) -> None: ...
    def feed(self, t: float, chunk: bytes, since: float | None = None, *, is_last: bool = True) -> object: ...
    def eof(self, t: float) -> None: ...
    def lost(self, t: float, outcome: Outcome, detail: str = "") -> None: ...
    def expire(self, t: float) -> None: ...
    def abort(self, t: float, outcome: Outcome) -> None: ...
    def deadline(self) -> tuple[float, Outcome]: ...
    @property
    def done(self) -> bool: ...


class Body(Protocol):
    """A body that is made while it is sent; it must yield exactly `length` bytes."""

    @property
    def length(self) -> int: ...
    def __iter__(self) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request. `path` begins with a slash; `scope` picks the key, None sends none."""

    method: str
    path: str
    scope: Scope | None
    body: bytes | Body = b""
    content_type: str | None = None
    accept: str = "application/json"

    @property
    def length(self) -> int:
        return len(self.body) if isinstance(self.body, bytes) else self.body.length


class AnswerParser(HTTPResponse):
    """geventhttpclient's HTTP parser, off its socket."""

    # HTTPResponse's own is a detour for answers to HEAD.
    feed = HTTPResponseParser.feed  # type: ignore[assignment]

    def __init__(self, method: str) -> None:
        super().__init__(method)
        self.answered = False  # anything came
        self.announced = False  # the exchange knows the head
        self.silent_bytes = 0  # since the last one of the body
        self.chunks: WholeChunks | None = None  # of a body whose place in what comes is known

    def problem_with(self, data: bytes) -> Broken | None:
        """Parse what came; empty `data` is the end of the connection."""
        is_first, self.answered = not self.answered, True
        self.silent_bytes += len(data)
        problem = self._problem_with(data)
        if is_first and self.head_is_complete and self.get("transfer-encoding") == "chunked":
            self.chunks = WholeChunks(data)
        return problem

    def _problem_with(self, data: bytes) -> Broken | None:
        try:
            self.feed(data)
        except HTTPParseError:
            if data:
                return Broken(Outcome.MALFORMED, "not HTTP")
            # A clean end of the connection in the middle of a chunk or before Content-Length.
            return Broken(Outcome.RESET, "closed in the middle of the answer")
        return None

    def take(self) -> bytes:
        body = bytes(self._body_buffer)
        self._body_buffer.clear()
        if body:
            self.silent_bytes = 0
        return body

    def field(self, name: str) -> str:
        """A header's value, the first of several."""
        value = self.get(name) or ""
        return value if isinstance(value, str) else value[0]

    @property
    def head_is_complete(self) -> bool:
        # An interim answer (1xx) is followed by the real one.
        return bool(self.headers_complete and self.get_code() >= 200)

    @property
    def is_complete(self) -> bool:
        return bool(self.message_complete and self.get_code() >= 200)


class Client:
    """One user's way to one server. Not to be shared between greenlets."""

    def __init__(
        self,
        base_url: str,
        key_for: Callable[[Scope], Secret | None],
        *,
        connect_timeout_s: float = 10.0,
        tls: TlsSettings = DEFAULT,
        resolve: Resolve | None = None,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._origin = Origin.of(base_url)
        self._key_for = key_for
        self._connect_timeout_s = connect_timeout_s
        self._tls = tls
        self._resolve = resolve
        self._now = now
        self._link: Link | None = None
        self._asked_at = self._idle_since = 0.0
        self._max_idle_s = MAX_IDLE_S

    def run(self, request: Request, exchange: Exchange) -> None:
        """Drive `exchange` from its send to its end; afterwards it is done, whatever happened.

        A greenlet that is killed in here (a user stopped at the end of the run) leaves the exchange as
        CUTOFF, and the kill goes on.
        """
        self._drive(exchange, lambda: self._ask(request, exchange))

    def _drive(self, exchange: Exchange, ask: Callable[[], None]) -> None:
        self._asked_at = self._now()
        exchange.sent(self._asked_at)
        try:
            ask()
        except Expired:
            self.close()
            exchange.expire(self._now())
        except Broken as exc:
            self.close()
            if not self._drop(exchange, exc.__cause__):
                exchange.lost(self._now(), exc.outcome, exc.detail)
        except BaseException as exc:
            self.close()
            if self._drop(exchange, exc):
                return
            is_kill = isinstance(exc, GreenletExit)
            exchange.abort(self._now(), Outcome.CUTOFF if is_kill else Outcome.CLIENT_CANCEL)
            raise
        # Many streams may end together. Their users count them one after the other; readers come in between.
        breathe()

    def _drop(self, exchange: Exchange, problem: BaseException | None) -> bool:
        """Whether it was this machine that could not go on, and not the server."""
        limit = reached.by(problem)
        if limit is not None:
            exchange.lost(self._now(), Outcome.DROPPED, f"the load generator ran out of {limit}")
        return limit is not None

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def _ask(self, request: Request, exchange: Exchange) -> None:
        link, reused = self._connected(exchange)
        try:
            self._send_and_receive(request, exchange, link, reused=reused)
        except Unanswered as exc:
            if not (reused and may_repeat(request.method, unsent=exc.unsent)):
                raise Broken(*outcome_of_closing(reused=reused)) from exc
        else:
            return
        self.close()
        exchange.sent_again()
        link, _ = self._connected(exchange)
        try:
            self._send_and_receive(request, exchange, link, reused=False)
        except Unanswered as exc:
            raise Broken(*outcome_of_closing(reused=False)) from exc

    def _connected(self, exchange: Exchange) -> tuple[Link, bool]:
        """The connection, and whether it was used before."""
        if self._link is not None and (
            self._now() - self._idle_since > self._max_idle_s or is_stale(self._link)
        ):
            self.close()
        if self._link is not None:
            return self._link, True
        left_s = self._left_s(exchange)
        timeout_s = min(self._connect_timeout_s, left_s)
        try:
            self._link = dial(self._origin, timeout_s, self._tls, self._resolve)
        except Broken as exc:
            if exc.outcome is Outcome.TIMEOUT_CONNECT and left_s < self._connect_timeout_s:
                raise Expired from exc
            raise
        return self._link, False

    def _left_s(self, exchange: Exchange) -> float:
        left_s = exchange.deadline()[0] - self._now()
        if left_s <= 0:
            raise Expired
        return left_s

    def _head(self, request: Request) -> bytes:
        fields = {
            "Host": self._origin.authority,
            "User-Agent": f"astrometer/{__version__}",
            "Accept": request.accept,
            # Compressed streams cannot be timed: the compressor holds events back.
            "Accept-Encoding": "identity",
        }
        if request.content_type is not None:
            fields["Content-Type"] = request.content_type
        if request.length or request.method != "GET":
            fields["Content-Length"] = str(request.length)
        key = self._key_for(request.scope) if request.scope is not None else None
        if key is not None:
            fields["Authorization"] = f"Bearer {key.reveal()}"
        lines = [f"{request.method} {self._origin.prefix + request.path or '/'} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _send_and_receive(self, request: Request, exchange: Exchange, link: Link, *, reused: bool) -> None:
        now = link.receiver.read_at = self._now()  # nothing of the answer comes earlier
        began = self._asked_at if reused else now
        try:
            sent = self._send(request, exchange, link)
            exchange.sending(began, self._now())
            answer = self._receive(request, exchange, link, unsent=not sent)
        finally:
            exchange.network(link.network())
        if answer is None or answer.should_close():
            self.close()
        else:
            self._idle_since = self._now()
            self._max_idle_s = idle_limit_s(answer.field("keep-alive"))

    def _send(self, request: Request, exchange: Exchange, link: Link) -> bool:
        """Whether anything of it went out. The server may refuse early, and say why before it closes."""
        head = self._head(request)
        body = request.body
        if isinstance(body, bytes):
            return self._send_all(head + body, exchange, link) > 0
        if self._send_all(head, exchange, link) < len(head):
            return False  # of no use without the rest of it
        exchange.body_began(self._now())
        for block in body:
            if self._send_all(block, exchange, link) < len(block):
                return True
        exchange.body_sent(self._now())
        return True

    def _send_all(self, data: bytes, exchange: Exchange, link: Link) -> int:
        """How many bytes the system took before the connection broke, if it did."""
        left_s = self._left_s(exchange)
        sent = 0
        view = memoryview(data)
        try:
            while sent < len(data):
                sent += link.send(view[sent:], left_s)
        except (BrokenPipeError, ConnectionResetError):
            return sent
        except OSError as exc:
            raise Expired if isinstance(exc, TimeoutError) else broken(exc) from exc
        return sent

    def _receive(
        self, request: Request, exchange: Exchange, link: Link, *, unsent: bool
    ) -> AnswerParser | None:
        """The whole answer; None when the exchange saw enough before its end.

        `receiver.t` is when the kernel received the last byte of `data` (`wire.receive_stamps`).
        A `ChatExchange` hands its events on to `api.chat.turn_timeline`.
        """
        parser = AnswerParser(request.method)
        receiver = link.receiver
        with Alarm() as alarm, link.attended():
            t = self._now()
            while True:
                alarm.set(exchange.deadline()[0], t)
                try:
                    data = arrival(link, alarm)
                except OSError as exc:
                    raise (
                        broken(exc)
                        if parser.answered or isinstance(exc, ssl.SSLError)
                        else Unanswered(unsent=unsent)
                    ) from exc
                if data is None:
                    t = self._now()
                    continue
                t = receiver.t
                if not (data or parser.answered):
                    raise Unanswered(unsent=unsent)
                chunk = parser.chunks.only(data) if parser.chunks is not None else None
                if chunk is not None:
                    parser.silent_bytes = 0
                    hand_on(chunk, exchange, link, is_last=link.is_whole)
                elif is_complete(parser, data, exchange, link):
                    return parser
                if exchange.done:  # it saw enough
                    return None


def is_complete(parser: AnswerParser, data: bytes, exchange: Exchange, link: Link) -> bool:
    """Parse what came and hand it on -> whether the answer is whole, and the exchange over. Raises Broken."""
    t = link.receiver.t
    problem = parser.problem_with(data)
    if not parser.announced and parser.head_is_complete:
        parser.announced = True
        kind, to, encoding = map(parser.field, ("content-type", "location", "content-encoding"))
        exchange.headers(t, parser.get_code(), kind, to, encoding)
    if parser.announced and (chunk := parser.take()):
        hand_on(chunk, exchange, link, is_last=link.is_whole and ends_with(data, chunk))
    if problem is not None:
        raise problem
    if exchange.done:
        return False
    if parser.message_complete and parser.is_complete:
        exchange.eof(t)
        return True
    if parser.silent_bytes > MAX_SILENT_BYTES:
        raise Broken(Outcome.MALFORMED, f"more than {MAX_SILENT_BYTES} bytes without an answer")
    if not data:
        raise Broken(Outcome.RESET, "closed before an answer")
    return False


def hand_on(chunk: bytes, exchange: Exchange, link: Link, *, is_last: bool) -> None:
    """A piece of the body; `is_last`: the last byte that came is that of its last."""
    receiver = link.receiver
    # What ends more than one event has more than two lines.
    matters = not is_last or chunk.count(b"\n") > 2
    exchange.feed(receiver.t, chunk, receiver.since if matters else None, is_last=is_last)


def arrival(link: Link, alarm: Alarm) -> bytes | None:
    """What came, empty at the end. None: nothing whole did, or the alarm rang."""
    try:
        link.wait()
    except Ring:
        alarm.has_rung()  # what came in time is still read
    try:
        return link.receive()
    except BlockingIOError:
        return None


class Unanswered(Exception):
    """The connection broke before any byte of an answer; `unsent`: and of the question."""

    def __init__(self, *, unsent: bool) -> None:
        super().__init__()
        self.unsent = unsent


def broken(exc: OSError) -> Broken:
    # A server that asks for a certificate says so only after the handshake (TLS 1.3).
    if isinstance(exc, ssl.SSLError) and "ALERT" in str(exc.reason):
        return Broken(Outcome.TLS, reason_of(exc))
    return Broken(Outcome.RESET, "connection reset")
