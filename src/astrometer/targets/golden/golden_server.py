"""A server that sends chat streams on a known schedule and writes into each event when it was really sent.

Bare sockets and one epoll loop: it has to be more exact than what it judges. The text of every content event
is the time just before its send, in nanoseconds of `time.perf_counter_ns`: on Linux, macOS and Windows that
is one clock for all processes of a machine. So a client's own record of a turn (text and chunk gaps) holds
truth and measurement side by side. `GET /golden/stats?from=S&to=S` says how late and how busy the server
itself was between two readings of that clock, what a client must have seen (`true_...`), and which events it
cannot vouch for (`held_up_ns`): it was interrupted between reading the clock and the end of the send.

It answers as AstrBot and as an OpenAI-compatible model (`golden_dialect`); with a certificate, over TLS.
"""

import heapq
import itertools
import json
import selectors
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from astrometer.targets.golden.account import HELD_UP_NS, TICK_S, Account
from astrometer.targets.golden.golden_dialect import DIALECTS, MODELS, AstrBotDialect, GoldenDialect
from astrometer.wire.receive_stamps import BLOCK_BYTES, StampedReceiver, stamp_clock

_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenSchedule:
    """Of each stream: `events` content events, the first after `ttft_s`, then one per `gap_s`."""

    ttft_s: float = 0.2
    gap_s: float = 0.02
    events: int = 100

    def due_s(self, index: int) -> float:
        return self.ttft_s + index * self.gap_s

    @property
    def length_s(self) -> float:
        return self.due_s(self.events - 1)


@dataclass(slots=True, eq=False)
class _Connection:
    sock: socket.socket
    receiver: StampedReceiver | None  # None: TLS
    inbox: bytearray = field(default_factory=bytearray)
    outbox: bytearray = field(default_factory=bytearray)
    dialect: GoldenDialect = field(default_factory=AstrBotDialect)
    t_arrived: float = 0.0  # when the last of its request reached the kernel, where that is known
    t_start: float = 0.0  # when the request was read: what the schedule counts from
    t_first: float = 0.0  # when its first event was sent
    t_last: float = 0.0
    sent: int = 0
    streaming: bool = False


class GoldenServer:
    """Serves until `stop` is set; one thread. `handicap_s` of idling before each event makes it a bad one.

    `certificate`: a PEM file with certificate and key; with it, the server speaks TLS.
    """

    def __init__(
        self,
        schedule: GoldenSchedule,
        port: int = 0,
        handicap_s: float = 0.0,
        certificate: Path | None = None,
    ) -> None:
        self._schedule = schedule
        self._handicap_s = handicap_s
        self._listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self._listener.setblocking(False)
        stamp_clock()  # from now on the kernel stamps, also what comes before it is read
        self._buffer = bytearray(BLOCK_BYTES)
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)
        scheme = "https" if self._tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._due: list[tuple[float, int, _Connection]] = []
        self._order = itertools.count()
        self._account = Account()
        self.stop = False

    def run(self) -> None:
        """Serve. Returns once `stop` is true, with every socket closed."""
        try:
            while not self.stop:
                self._send_due()
                for key, mask in self._selector.select(self._pause()):
                    if key.fileobj is self._listener:
                        self._accept()
                    elif key.data.sock.fileno() < 0:
                        continue  # closed while this batch was worked off
                    elif mask & selectors.EVENT_WRITE:
                        self._flush(key.data)
                    else:
                        self._read(key.data)
                    self._send_due()
        finally:
            for key in list(self._selector.get_map().values()):
                self._selector.unregister(key.fileobj)
                if isinstance(key.fileobj, socket.socket):
                    key.fileobj.close()
            self._selector.close()

    def _pause(self) -> float:
        """How long the selector may wait. It counts in whole milliseconds, so the last one is slept here."""
        now = time.perf_counter()
        self._account.tick(now)
        if not self._due:
            return TICK_S
        left_s = self._due[0][0] - now
        if left_s > 0.003:
            return min(TICK_S, left_s - 0.002)
        if left_s > 0.00005:
            time.sleep(left_s)
        return 0.0

    def _accept(self) -> None:
        with suppress(BlockingIOError, ConnectionError):
            sock, _ = self._listener.accept()
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            receiver = None
            if self._tls:  # the first reads make the handshake
                sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            else:
                receiver = StampedReceiver(sock, self._buffer)
            self._selector.register(sock, selectors.EVENT_READ, _Connection(sock, receiver))

    def _read(self, connection: _Connection) -> None:
        try:
            if connection.receiver:
                received, t_arrived = connection.receiver.receive(), connection.receiver.t
            else:  # more than a TLS record holds: nothing stays behind where the selector sees nothing
                received, t_arrived = connection.sock.recv(65536), time.perf_counter()
        except _NOT_NOW:
            return
        except (ConnectionError, ssl.SSLError):
            received = b""
        if not received:
            self._close(connection)
            return
        connection.t_arrived = t_arrived
        connection.inbox += received
        head, separator, body = bytes(connection.inbox).partition(b"\r\n\r\n")
        if not separator or len(body) < _content_length(head):
            return
        connection.inbox.clear()
        target = urlsplit(head.split(b" ", 2)[1].decode("latin-1"))
        if target.path == "/golden/stats":
            asked = {name: float(values[0]) for name, values in parse_qs(target.query).items()}
            stats = self._account.between(asked.get("from", 0.0), asked.get("to", float("inf")))
            self._answer(connection, json.dumps(stats).encode())
        elif target.path == "/v1/models":
            self._answer(connection, MODELS)
        else:
            found = (dialect for start, dialect in DIALECTS.items() if head.startswith(start))
            if dialect := next(found, None):
                self._start(connection, dialect)
            else:
                self._answer(connection, b'{"status":"ok","data":{}}')

    def _start(self, connection: _Connection, dialect: GoldenDialect) -> None:
        connection.dialect = dialect
        self._account.streams += 1
        connection.t_start = time.perf_counter()
        connection.sent = 0
        connection.streaming = True
        self._write(connection, _HEAD + _chunk(dialect.opening(self._account.streams)))
        due = connection.t_start + self._schedule.due_s(0)
        heapq.heappush(self._due, (due, next(self._order), connection))

    def _send_due(self) -> None:
        now = time.perf_counter()
        while self._due and self._due[0][0] <= now:
            due, order, connection = self._due[0]
            if not connection.streaming:
                heapq.heappop(self._due)
                continue
            if self._handicap_s:
                time.sleep(self._handicap_s)
            sent_ns = time.perf_counter_ns()
            self._write(connection, _chunk(connection.dialect.content(f"{sent_ns} ")))
            if connection.outbox or time.perf_counter_ns() - sent_ns > HELD_UP_NS:
                self._account.held_up.append(sent_ns)
            self._noted(connection, due, sent_ns / 1e9)
            if connection.sent < self._schedule.events:
                following = connection.t_start + self._schedule.due_s(connection.sent)
                heapq.heapreplace(self._due, (following, order, connection))
            else:
                heapq.heappop(self._due)
                self._finish(connection)
            now = time.perf_counter()

    def _noted(self, connection: _Connection, due: float, sent: float) -> None:
        self._account.note(due, sent - due)
        if connection.sent:
            self._account.gap(sent, sent - connection.t_last)
        else:
            connection.t_first = sent
            self._account.first(sent, sent - connection.t_arrived)
        connection.t_last = sent
        connection.sent += 1

    def _finish(self, connection: _Connection) -> None:
        connection.streaming = False
        if connection.sent > 1:
            length_s = connection.t_last - connection.t_first
            self._account.whole(connection.t_last, length_s / (connection.sent - 1))
        closing = connection.dialect.closing(connection.sent, self._schedule.ttft_s)
        self._write(connection, _chunk(closing) + b"0\r\n\r\n")

    def _write(self, connection: _Connection, data: bytes) -> None:
        if connection.outbox:
            connection.outbox += data
            return
        try:
            done = connection.sock.send(data)
        except _NOT_NOW:
            done = 0
        except OSError:
            self._close(connection)
            return
        if done < len(data):
            self._account.blocked += 1
            connection.outbox += data[done:]
            mask = selectors.EVENT_READ | selectors.EVENT_WRITE
            self._selector.modify(connection.sock, mask, connection)

    def _flush(self, connection: _Connection) -> None:
        pending, connection.outbox = bytes(connection.outbox), bytearray()
        self._selector.modify(connection.sock, selectors.EVENT_READ, connection)
        self._write(connection, pending)

    def _answer(self, connection: _Connection, body: bytes) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._write(connection, head.encode() + body)

    def _close(self, connection: _Connection) -> None:
        connection.streaming = False
        if connection.sock.fileno() >= 0:
            self._selector.unregister(connection.sock)
            connection.sock.close()


def _chunk(data: bytes) -> bytes:
    """HTTP's chunked coding; nothing stays nothing, since an empty chunk would end the answer."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0
