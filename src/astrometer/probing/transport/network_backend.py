"""Name -> addresses -> TCP (-> TLS), each step with the time it took; and httpx's errors -> outcomes.

httpx resolves and connects in one step; a monitor wants to know which of the two was slow or failed.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import h11
import httpcore
import httpx

from astrometer.api.outcome import Outcome
from astrometer.probing.transport.certificate_expiry import earliest_expiry
from astrometer.probing.transport.resolver import resolve
from astrometer.wire.happy_eyeballs import ATTEMPT_DELAY_S, in_turns
from astrometer.wire.tls import TlsError, TlsSettings, context_of, reason_of

# Heads, interim answers, chunk extensions, trailers: more in a row without a byte of an answer is a fault.
MAX_SILENT_BYTES = 64 * 1024
ENDLESS = f"more than {MAX_SILENT_BYTES} bytes without an answer"
# What h11 says when a body ends too early; all else that it complains of is not HTTP.
_CUT_OFF = ("peer closed connection", "without sending complete message body")


@dataclass(slots=True)
class Phases:
    """Seconds of the first connection's steps; a step that was not reached is absent."""

    seconds: dict[str, float] = field(default_factory=dict)
    _started: dict[str, float] = field(default_factory=dict)
    cert_expires_at: float | None = None  # epoch seconds; the first of the chain

    def start(self, name: str) -> None:
        self._started.setdefault(name, perf_counter())

    def stop(self, name: str) -> None:
        if name in self._started:
            self.seconds.setdefault(name, perf_counter() - self._started[name])

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        """httpcore's trace extension: names the TLS handshake that no backend call shows."""
        if event == "connection.start_tls.started":
            self.start("tls")
        elif event == "connection.start_tls.complete":
            self.stop("tls")
            self.cert_expires_at = earliest_expiry(info["return_value"].get_extra_info("ssl_object"))


@dataclass(slots=True)
class Meter:
    """What came in on the connections of one client since somebody last looked."""

    connections: int = 0
    received: int = 0
    silent: int = 0  # bytes since the last piece of an answer

    def add(self, count: int) -> None:
        """Raises httpcore.RemoteProtocolError for a server that sends and answers nothing."""
        self.received += count
        self.silent += count
        if self.silent > MAX_SILENT_BYTES:
            raise httpcore.RemoteProtocolError(ENDLESS)

    def broke_unanswered_since(self, before: "Meter") -> bool:
        """Whether a request went out on a kept connection, and not a byte came back."""
        kept = 0 < before.connections == self.connections
        return kept and before.received == self.received


class MeteredStream(httpcore.AsyncNetworkStream):
    """A connection whose received bytes are counted, secured as its target wants it."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, meter: Meter, tls: TlsSettings) -> None:
        self._stream = stream
        self._meter = meter
        self._tls = tls

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 (httpcore's)
        try:
            data = await self._stream.read(max_bytes, timeout)
        except OSError as exc:  # an alert of TLS, which httpcore lets through
            raise httpcore.ReadError(str(exc)) from exc
        self._meter.add(len(data))
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 (httpcore's)
        try:
            await self._stream.write(buffer, timeout)
        except OSError as exc:
            raise httpcore.WriteError(str(exc)) from exc

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,  # noqa: ARG002 (httpcore's signature)
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's)
    ) -> httpcore.AsyncNetworkStream:
        try:
            context = context_of(self._tls)
        except TlsError as exc:
            raise httpcore.ConnectError(str(exc)) from exc
        secured = await self._stream.start_tls(context, server_hostname, timeout)
        return MeteredStream(secured, self._meter, self._tls)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


Connect = Callable[[str], Awaitable[httpcore.AsyncNetworkStream]]


class TimedBackend(httpcore.AnyIOBackend):
    """Resolves by itself, so that a name that is unknown, or slow, is told from a port that is closed."""

    def __init__(self, phases: Phases, meter: Meter, tls: TlsSettings) -> None:
        self._phases = phases
        self._meter = meter
        self._tls = tls

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's signature)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        connect_one = super().connect_tcp

        async def connect(address: str) -> httpcore.AsyncNetworkStream:
            return await connect_one(address, port, None, local_address, socket_options)

        self._meter.connections += 1
        self._meter.silent = 0
        late = "the name"
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._resolve(host)
                late = "the connection"
                self._phases.start("connect")
                stream = await first_to_connect(addresses, connect)
        except TimeoutError as exc:
            raise httpcore.ConnectTimeout(f"{late} took too long") from exc
        self._phases.stop("connect")
        return MeteredStream(stream, self._meter, self._tls)

    async def _resolve(self, host: str) -> list[str]:
        self._phases.start("resolve")
        try:
            addresses = await resolve(host)
        except (socket.gaierror, UnicodeError, ValueError) as exc:
            raise httpcore.ConnectError("the name cannot be resolved") from exc
        self._phases.stop("resolve")
        return addresses


async def first_to_connect(addresses: Iterable[str], connect: Connect) -> httpcore.AsyncNetworkStream:
    """Race them as browsers do: the next begins when one has failed, or has not answered for a moment.

    Raises httpcore.ConnectError of the first that failed when all have.
    """
    waiting = in_turns(addresses, lambda address: ":" in address)
    racing: set[asyncio.Task[httpcore.AsyncNetworkStream]] = set()
    first_problem: BaseException | None = None
    try:
        while waiting or racing:
            if waiting:
                racing.add(asyncio.ensure_future(connect(waiting.pop(0))))
            delay_s = ATTEMPT_DELAY_S if waiting else None
            done, racing = await asyncio.wait(racing, timeout=delay_s, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                problem = task.exception()
                if problem is None:
                    racing |= done - {task}
                    return task.result()
                first_problem = first_problem or problem
    finally:
        await asyncio.shield(_close_all(racing))
    raise first_problem or httpcore.ConnectError("the name has no address")


async def _close_all(attempts: "set[asyncio.Task[httpcore.AsyncNetworkStream]]") -> None:
    """The losers: one that is just done must not leave its socket open."""
    for attempt in attempts:
        attempt.cancel()
    if attempts:
        await asyncio.wait(attempts)
    for attempt in attempts:
        if not attempt.cancelled() and attempt.exception() is None:
            await attempt.result().aclose()


class TimedTransport(httpx.AsyncHTTPTransport):
    """httpx's own transport over `TimedBackend`. HTTP/1.1, as AstrBot speaks it."""

    def __init__(self, phases: Phases, meter: Meter, tls: TlsSettings) -> None:
        # `MeteredStream` takes the target's own context, made when it is needed: here is none.
        unused = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        super().__init__(verify=unused, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=unused, network_backend=TimedBackend(phases, meter, tls), max_connections=8
        )


def outcome_of(error: Exception) -> Outcome:
    """Which outcome a transport error of httpx is. What broke after the connection stood is `reset`."""
    causes = list(_causes(error))
    if isinstance(error, httpx.ConnectTimeout):
        return Outcome.TIMEOUT_CONNECT
    if isinstance(error, httpx.ConnectError):
        # TLS errors are OSErrors and ValueErrors too: look for them first.
        if any(isinstance(cause, ssl.SSLError | TlsError) for cause in causes):
            return Outcome.TLS
        if any(isinstance(cause, socket.gaierror | UnicodeError) for cause in causes):
            return Outcome.DNS
        return Outcome.CONNECT
    if any(isinstance(cause, ssl.SSLError) and "ALERT" in str(cause.reason) for cause in causes):
        return Outcome.TLS  # a server that asks for a certificate says so only after the handshake
    return Outcome.MALFORMED if _is_not_http(error, causes) else Outcome.RESET


def _is_not_http(error: Exception, causes: list[BaseException]) -> bool:
    if str(error) == ENDLESS:
        return True
    return any(
        isinstance(cause, h11.RemoteProtocolError) and not any(part in str(cause) for part in _CUT_OFF)
        for cause in causes
    )


def said_of(error: Exception) -> str:
    """What the system said ("Connection refused"), or the name of the error: nothing of what was sent."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, TlsError):
            return str(cause)
        if isinstance(cause, ssl.SSLError):  # whose errno is not the system's
            return reason_of(cause)
        if isinstance(cause, socket.gaierror | UnicodeError):
            return "the name cannot be resolved"
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno)
    if str(error) == ENDLESS:
        return ENDLESS
    return "not HTTP" if _is_not_http(error, causes) else type(error).__name__


def _causes(error: BaseException) -> Iterable[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
