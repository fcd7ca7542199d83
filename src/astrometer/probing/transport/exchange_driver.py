"""An httpx request -> the exchange it drives: whatever came, with the time at which the kernel received it.

Outcomes, limits and deadlines are the exchange's own, so a heartbeat prolongs nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from time import perf_counter
from types import TracebackType
from typing import Self

import httpx

from astrometer.api.call_exchange import CallExchange
from astrometer.api.chat.chat_exchange import ChatExchange
from astrometer.api.keep_alive import may_repeat, outcome_of_closing
from astrometer.api.outcome import Outcome
from astrometer.probing.transport.stamped_stream import Meter, StampedStream
from astrometer.probing.transport.stream_reading import Observer, ReadTimes, StreamReading
from astrometer.probing.transport.transport_errors import outcome_of, said_of

# What came in time is read within this, or somebody sends faster than this process reads.
CATCH_UP_S = 0.25


@asynccontextmanager
async def opened(client: httpx.AsyncClient, request: httpx.Request) -> AsyncIterator[httpx.Response]:
    response = await client.send(request, stream=True)
    try:
        yield response
    finally:
        await response.aclose()


async def drive(
    client: httpx.AsyncClient,
    meter: Meter,
    request: httpx.Request,
    exchange: ChatExchange | CallExchange,
    observe: Observer = lambda _t, _event: None,
) -> None:
    """Afterwards the exchange is done, whatever happened. A cancelled one is finished as `client_cancel`."""
    exchange.sent(perf_counter())
    before = replace(meter)
    try:
        async with asyncio.timeout(None) as clock:
            with DeadlineTimer(clock, exchange, meter) as timer:
                try:
                    await _attempt(client, meter, request, exchange, observe=observe, timer=timer)
                except (httpx.NetworkError, httpx.RemoteProtocolError):
                    if not meter.broke_unanswered_since(before):
                        raise
                    if not may_repeat(request.method, unsent=False):
                        exchange.lost(perf_counter(), *outcome_of_closing(reused=True))
                        return
                    exchange.sent_again()
                    await _attempt(client, meter, request, exchange, observe=observe, timer=timer)
    except TimeoutError:
        exchange.expire(perf_counter())
    except httpx.TransportError as exc:
        exchange.lost(perf_counter(), outcome_of(exc), said_of(exc))
    except asyncio.CancelledError:
        exchange.abort(perf_counter(), Outcome.CLIENT_CANCEL)
        raise


class DeadlineTimer:
    """Ends `clock` at the exchange's deadline, which moves. What came in time is read first, however late
    this process is.
    """

    def __init__(self, clock: asyncio.Timeout, exchange: ChatExchange | CallExchange, meter: Meter) -> None:
        self._clock, self._exchange, self._meter = clock, exchange, meter
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.Handle | None = None
        self._over = False
        self._late_at: float | None = None  # when it was seen that the deadline has passed

    def __enter__(self) -> Self:
        self.set()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        self._cancel()

    def moved(self) -> None:
        """Something came. What else may have come is about to be read: nothing is over yet."""
        self._cancel()
        if not self._over:
            self._next = self._loop.call_soon(self.set)

    def set(self) -> None:
        """Wait for the deadline as it is now, or end what it has passed."""
        self._cancel()
        if self._over:
            return
        deadline, now = self._exchange.deadline()[0], perf_counter()
        if deadline > now:
            self._late_at = None
            self._next = self._loop.call_later(deadline - now, self.set)
            return
        self._late_at = self._late_at or now
        if now - self._late_at <= CATCH_UP_S and self._is_behind(deadline):
            self._next = self._loop.call_soon(self.set)
        else:
            self._over = True
            self._clock.reschedule(self._loop.time())

    def _is_behind(self, deadline: float) -> bool:
        """Whether a read is about to be made of what may have come before `deadline`."""
        stream = self._meter.stream
        return (
            stream is not None
            and stream.receiver.waits
            and stream.receiver.t < deadline
            and bool(stream.get_extra_info("is_readable"))
        )

    def _cancel(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None


class _Now:
    """The times of what comes without a network, as in tests: when it is asked for."""

    since: float | None = None

    @property
    def t(self) -> float:
        return perf_counter()

    def ends_with(self, chunk: bytes) -> bool:  # noqa: ARG002
        return True


async def _attempt(
    client: httpx.AsyncClient,
    meter: Meter,
    request: httpx.Request,
    exchange: ChatExchange | CallExchange,
    *,
    observe: Observer,
    timer: DeadlineTimer,
) -> None:
    async with opened(client, request) as response:
        stream = response.extensions.get("network_stream")
        times: ReadTimes = _Now()
        if isinstance(stream, StampedStream):
            times = stream
            exchange.sending(*stream.asked)
        kind, to, encoding = (
            response.headers.get(name, "") for name in ("content-type", "location", "content-encoding")
        )
        exchange.headers(times.t, response.status_code, kind, to, encoding)
        body = _pieces(response, meter)
        if isinstance(exchange, ChatExchange) and exchange.is_stream:
            reading = StreamReading(body, times, exchange, observe)

            def before_read() -> None:
                reading.hand_over()
                timer.moved()

            if isinstance(stream, StampedStream):
                stream.before_read = before_read
            await reading.run()
        else:
            async for chunk in body:
                exchange.feed(times.t, chunk, times.since)
                if exchange.done:
                    return
        if not exchange.done:
            exchange.eof(times.t)


async def _pieces(response: httpx.Response, meter: Meter) -> AsyncIterator[bytes]:
    async for chunk in response.aiter_raw():
        meter.silent = 0
        yield chunk
