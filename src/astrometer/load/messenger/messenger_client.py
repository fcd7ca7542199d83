"""The messenger of one load process: a link to AstrBot's adapter, kept up, for all of its users. gevent only.

What is said over it is `im.messenger_session`'s; here are the socket, the greenlet that reads it, the one
that writes what it did not take at once, and the one that looks at the clock. Whoever asks waits until the
question is over. No user who is stopped takes frames along: users never wait for the socket.
"""

import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent import GreenletExit
from gevent.event import Event
from gevent.hub import Waiter

from astrometer.api.outcome import Outcome
from astrometer.im.im_exchange import ImExchange, ImQuestion
from astrometer.im.link.link_end import SEND_S, nothing_taken
from astrometer.im.messenger_session import MessengerSession
from astrometer.load.transport.link import Link
from astrometer.load.transport.load_connection import Broken, Origin, dial
from astrometer.wire.tls import DEFAULT, TlsSettings


class MessengerClient:
    """`session` is the state of it all. Nothing happens before `link_up`."""

    def __init__(
        self,
        session: MessengerSession,
        *,
        tls: TlsSettings = DEFAULT,
        connect_timeout_s: float = 10.0,
        send_limit_s: float = SEND_S,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.session = session
        self._tls = tls
        self._connect_timeout_s = connect_timeout_s
        self._send_limit_s = send_limit_s
        self._now = now
        self._link: Link | None = None
        self._waiting: dict[int, Waiter] = {}  # by the id of the question
        self._unwritten = Event()  # the link did not take all of it
        self._settled = Event()  # the link is open, or it is known that there is none
        self._moved = Event()  # something may be due sooner
        self._watched_t: float | None = None  # what the clock is waited for; None: nothing is due
        self._greenlets: list[Any] = []

    def link_up(self) -> None:
        """Begin to connect, unless that was done, and wait until it has come to an end."""
        if not self._greenlets:
            self._greenlets = [gevent.spawn(self._keep_up), gevent.spawn(self._watch_clock)]
        self._settled.wait()

    def begin(self, question: ImQuestion, t_intended: float | None = None) -> ImExchange:
        """Write it. Raises ImAskError and EventError."""
        exchange = self.session.ask(self._now(), question, t_intended)
        if not exchange.done:
            self._waiting[exchange.message_id] = Waiter()  # one greenlet waits, once
            self._look_at_clock()
        return exchange

    def wait_for(self, exchange: ImExchange) -> None:
        """Until its reply is whole, or it is known that none comes: then it is done.

        A greenlet that is killed in here leaves the question as CUTOFF.
        """
        over = self._waiting.get(exchange.message_id)
        if over is None:
            self._tell()
            return
        self._flush()
        try:
            over.get()
        except GreenletExit:
            self.session.give_up(exchange, self._now(), Outcome.CUTOFF)
            self._tell()
            raise

    def close(self) -> None:
        """Leave in order: AstrBot hears of it, so that the next one may come."""
        if self.session.is_open:
            self.session.close(self._now())
            self._flush()
            with gevent.Timeout(SEND_S, False):
                self._greenlets[0].join()
        gevent.killall(self._greenlets)
        self._greenlets = []
        self._drop()

    def _keep_up(self) -> None:
        """Connect, read until it is over, and again, as long as that makes sense."""
        due: float | None = self._now()
        while due is not None:
            gevent.sleep(max(0.0, due - self._now()))
            self._live()
            self._settled.set()
            due = self.session.reconnect_t()

    def _live(self) -> None:
        session, address = self.session, self.session.address
        origin = Origin(
            host=address.host, port=address.port, tls=address.secure, authority=address.netloc, prefix=""
        )
        session.connect(self._now())
        try:
            link = self._link = dial(origin, self._connect_timeout_s, self._tls)
        except Broken as exc:
            session.lost(self._now(), exc.outcome, exc.detail)
            self._tell()
            return
        self._moved.set()
        writer = gevent.spawn(self._write_rest, link)
        try:
            self._flush()
            with link.attended():
                while session.end is None:
                    link.wait()
                    self._read(link)
                    if session.is_open:
                        self._settled.set()
        except OSError:
            session.lost(self._now(), Outcome.RESET, "connection reset")
            self._tell()
        finally:
            self._settled.clear()
            writer.kill()
            self._drop()

    def _read(self, link: Link) -> None:
        """What is there, until nothing is. Raises OSError."""
        session, receiver = self.session, link.receiver
        try:
            has_more = True
            while has_more and session.end is None:
                full_reads = receiver.full_reads
                if data := link.receive():
                    session.feed(receiver.t, data, lambda: receiver.since, is_whole=link.is_whole)
                else:
                    session.eof(self._now())
                has_more = receiver.full_reads > full_reads or link.is_over
        except BlockingIOError:
            pass  # all was read
        finally:
            self._tell()
            self._look_at_clock()
        self._flush()

    def _watch_clock(self) -> None:
        while True:
            self._moved.clear()
            due = self._watched_t = self.session.deadline()
            gevent.get_hub().loop.update_now()  # or the timer counts from the beginning of its round
            if not self._moved.wait(None if due is None else max(0.0, due - self._now())):
                self._expire()

    def _look_at_clock(self) -> None:
        """Something may be due sooner now: a message brings the end of its question nearer."""
        due = self.session.deadline()
        if due is not None and (self._watched_t is None or due < self._watched_t):
            self._moved.set()

    def _expire(self) -> None:
        """What came in time is read first, however late this process is."""
        t = self._now()
        if self._link is not None:
            try:
                self._read(self._link)
            except OSError:
                return  # the reader finds the same, and says it
        self.session.expire(t)
        self._tell()
        if self.session.end is not None and self._link is not None:
            self._link.hang_up()  # the reader waits for no word of a peer that has none

    def _tell(self) -> None:
        """Whoever waited for what has ended."""
        for turn in self.session.finished():
            if (waiter := self._waiting.pop(turn.message_id, None)) is not None:
                gevent.get_hub().loop.run_callback(waiter.switch, None)

    def _flush(self) -> None:
        """At once, as far as the system takes it."""
        if self._link is None:
            return
        try:
            if not self._link.push(self.session.outgoing()):
                self._unwritten.set()
        except OSError:
            return  # the reader hears of it

    def _write_rest(self, link: Link) -> None:
        """Of what was flushed. A peer that takes none of it for long is gone."""
        try:
            while True:
                self._unwritten.wait()
                self._unwritten.clear()
                while not link.push(b""):
                    before = link.taken
                    if link.writable(self._send_limit_s) or link.taken > before:
                        continue
                    # This process may be what was late.
                    if not link.push(b"") and link.taken == before:
                        self.session.lost(self._now(), Outcome.RESET, nothing_taken(self._send_limit_s))
                        self._tell()
                        link.hang_up()
                        return
        except OSError:
            return  # the reader hears of it

    def _drop(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
