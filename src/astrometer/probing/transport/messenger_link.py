"""One run's link to AstrBot's messenger adapter: `MessengerSession` over a stream of asyncio with stamps.

Whoever waits for an answer reads: each action of AstrBot is acknowledged as soon as it is read.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from time import perf_counter

import httpcore

from astrometer.api.outcome import Outcome
from astrometer.clock import wall_minus_perf_s
from astrometer.im.im_exchange import ImDeadlines, ImExchange, ImQuestion
from astrometer.im.im_turn import ImTurn
from astrometer.im.link.link_address import LinkAddress
from astrometer.im.link.link_end import SEND_S, nothing_taken
from astrometer.im.messenger_session import MessengerSession
from astrometer.probing.transport.network_backend import Phases, TimedBackend
from astrometer.probing.transport.stamped_stream import Meter, StampedStream
from astrometer.probing.transport.transport_errors import outcome_of, said_of
from astrometer.wire.receive_stamps import BLOCK_BYTES, stamp_clock
from astrometer.wire.tls import DEFAULT, TlsSettings

LEAVE_S = 5.0  # for the close frame, and for what is still to be written
_REST_OF_A_RECORD_S = 0.05
_SLACK_S = 0.1  # the deadline's own word about what was missing comes first


class MessengerLink:
    """Connected once, left once. Nothing is ever pushed to anybody: chats that nobody began do not exist."""

    def __init__(
        self, address: LinkAddress, *, tls: TlsSettings = DEFAULT, send_limit_s: float = SEND_S
    ) -> None:
        stamp_clock()  # the first answer takes a moment, which would be part of a question's time
        self.session = MessengerSession(
            address,
            first_message_id=time.time_ns() // 1000,
            takes_pushes=False,
            wall_minus_perf_s=wall_minus_perf_s(),
        )
        self.phases = Phases()
        self._tls = tls
        self._send_limit_s = send_limit_s
        self._meter = Meter(streaming=True)
        self._stream: StampedStream | None = None

    async def open(self, limit_s: float) -> None:
        """Connect and shake hands. How it went is in `session.is_open` and `session.end`."""
        until = perf_counter() + limit_s
        self.session.connect(perf_counter())
        try:
            self._stream = await self._connected(limit_s)
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
            self.session.lost(perf_counter(), outcome_of(exc), said_of(exc))
            return
        self.phases.clock = self._stream.receiver.clock
        await self._go_on(lambda: self.session.is_open, until)
        if not self.session.is_open:
            self.session.lost(perf_counter(), Outcome.TIMEOUT_CONNECT, "no answer to the handshake")

    async def ask(self, question: ImQuestion, deadlines: ImDeadlines) -> ImTurn:
        """Until the answer is whole, or is not waited for any longer. One that is cancelled is noted as such.

        Raises EventError.
        """
        exchange = self.session.ask(perf_counter(), question, deadlines=deadlines)
        return await self._answer(
            exchange, lambda: exchange.done, exchange.t_send + deadlines.total_s + _SLACK_S
        )

    async def command(self, question: ImQuestion, limit_s: float) -> ImTurn:
        """A command, which is answered in one message: nothing is waited for afterwards."""
        exchange = self.session.ask(perf_counter(), question)
        return await self._answer(exchange, lambda: exchange.answered, exchange.t_send + limit_s)

    async def aclose(self) -> None:
        """Leave in order: AstrBot hears of it, so that the next run may come."""
        stream = self._stream
        if stream is None:
            return
        try:
            if self.session.is_open:
                self.session.close(perf_counter())
                await self._go_on(lambda: False, perf_counter() + LEAVE_S)
        finally:
            self._stream = None
            await stream.aclose()

    async def _connected(self, limit_s: float) -> StampedStream:
        """Raises httpcore.ConnectError, httpcore.ConnectTimeout."""
        address, began = self.session.address, perf_counter()
        backend = TimedBackend(self.phases, self._meter, self._tls)
        stream = await backend.connect_tcp(address.host, address.port, timeout=limit_s)
        if address.secure:
            left_s = max(0.001, began + limit_s - perf_counter())
            self.phases.start("tls")
            unused = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            stream = await stream.start_tls(unused, server_hostname=address.host, timeout=left_s)
            self.phases.stop("tls")
        if not isinstance(stream, StampedStream):
            raise TypeError(f"{type(stream).__name__} has no stamps")
        return stream

    async def _answer(self, exchange: ImExchange, enough: Callable[[], bool], until: float) -> ImTurn:
        given_up = Outcome.SILENT
        try:
            await self._go_on(lambda: exchange.done or enough(), until)
        except asyncio.CancelledError:
            given_up = Outcome.CLIENT_CANCEL
            raise
        finally:
            self.session.give_up(exchange, perf_counter(), given_up)
            self.session.finished()
        return exchange.result()

    async def _go_on(self, enough: Callable[[], bool], until: float) -> None:
        """Write what is to be written and read what comes, until it is enough, too late, or over."""
        while self.session.end is None and not enough() and perf_counter() < until:
            if self._stream is None:
                return
            try:
                await self._write(self._stream, until)
                if self.session.end is None:
                    await self._read(self._stream, until)
            except (httpcore.ReadError, httpcore.WriteError) as exc:
                self.session.lost(perf_counter(), Outcome.RESET, said_of(exc))
        if self._stream is not None and self.session.is_open:
            await self._last_words(self._stream)

    async def _last_words(self, stream: StampedStream) -> None:
        """The acknowledgement of what was read last: without it AstrBot would hold up that chat."""
        try:
            await self._write(stream, perf_counter() + LEAVE_S)
        except httpcore.WriteError as exc:
            self.session.lost(perf_counter(), Outcome.RESET, said_of(exc))

    async def _write(self, stream: StampedStream, until: float) -> None:
        """Raises httpcore.WriteError. What was not taken in time ends the link."""
        while data := self.session.outgoing():
            limit_s = max(0.001, min(self._send_limit_s, until - perf_counter()))
            try:
                await stream.write(data, limit_s)
            except httpcore.WriteTimeout:
                self.session.lost(perf_counter(), Outcome.RESET, nothing_taken(limit_s))

    async def _read(self, stream: StampedStream, until: float) -> None:
        """A piece of what comes; when nothing does, what is overdue. Raises httpcore.ReadError."""
        due = self.session.deadline()
        wake = until if due is None else min(until, due)
        if await self._fed(stream, max(0.0, wake - perf_counter())):
            return
        now = perf_counter()
        # What came in time is read first, however late this process is.
        while stream.get_extra_info("is_readable") and await self._fed(stream, _REST_OF_A_RECORD_S):
            if self.session.end is not None:
                return
        self.session.expire(now)

    async def _fed(self, stream: StampedStream, limit_s: float) -> bool:
        try:
            data = await stream.read(BLOCK_BYTES, limit_s)
        except httpcore.ReadTimeout:
            return False
        self._meter.silent = 0  # a link may be long without anything that HTTP knows
        self.phases.clock = stream.receiver.clock
        if data:
            self.session.feed(stream.t, data, stream.since, is_whole=stream.is_whole)
        else:
            self.session.eof(perf_counter())
        return True
