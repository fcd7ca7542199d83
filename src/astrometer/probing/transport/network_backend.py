"""Name -> addresses -> TCP (-> TLS), each step with the time it took: httpx's network, on our own sockets.

httpx resolves and connects in one step; a monitor wants to know which of the two was slow or failed.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import httpcore
import httpx
from cryptography import x509

from astrometer.probing.transport.resolver import resolve
from astrometer.probing.transport.socket_reader import LoopReader, PromptReader
from astrometer.probing.transport.stamped_stream import Meter, StampedStream
from astrometer.wire.happy_eyeballs import ATTEMPT_DELAY_S, in_turns
from astrometer.wire.receive_stamps import StampClock, stamp_clock
from astrometer.wire.tls import TlsSettings


@dataclass(slots=True)
class Phases:
    """Seconds of the first connection's steps; a step that was not reached is absent."""

    seconds: dict[str, float] = field(default_factory=dict)
    _started: dict[str, float] = field(default_factory=dict)
    cert_expires_at: float | None = None  # epoch seconds; the first of the chain
    clock: StampClock | None = None  # who stamped what came; None: no connection stood

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


Connect = Callable[[str], Awaitable[StampedStream]]


class TimedBackend(httpcore.AsyncNetworkBackend):
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
        async def connect(address: str) -> StampedStream:
            sock = await self._connected(address, port, local_address, socket_options or ())
            # Without stamps what a thread reads is as late as the thread: it would gain nothing certain.
            is_prompt = self._meter.streaming and stamp_clock() is StampClock.KERNEL
            reader = PromptReader(sock) if is_prompt else LoopReader(sock)
            return StampedStream(sock, reader, self._meter, self._tls)

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
        self._meter.stream = stream
        return stream

    async def _connected(
        self, address: str, port: int, local_address: str | None, options: Iterable[Any]
    ) -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as exc:  # no more files, or no such family
            raise httpcore.ConnectError(str(exc)) from exc
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for option in options:
                sock.setsockopt(*option)
            if local_address is not None:
                sock.bind((local_address, 0))
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
        except OSError as exc:
            self._give_up(sock)
            raise httpcore.ConnectError(str(exc)) from exc
        except BaseException:
            self._give_up(sock)
            raise
        return sock

    def _give_up(self, sock: socket.socket) -> None:
        self._meter.note_network(sock)
        sock.close()

    async def _resolve(self, host: str) -> list[str]:
        self._phases.start("resolve")
        try:
            addresses = await resolve(host)
        except (socket.gaierror, UnicodeError, ValueError) as exc:
            raise httpcore.ConnectError("the name cannot be resolved") from exc
        self._phases.stop("resolve")
        return addresses


async def first_to_connect(addresses: Iterable[str], connect: Connect) -> StampedStream:
    """Race them as browsers do: the next begins when one has failed, or has not answered for a moment.

    Raises httpcore.ConnectError of the first that failed when all have.
    """
    waiting = in_turns(addresses, lambda address: ":" in address)
    racing: set[asyncio.Task[StampedStream]] = set()
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


async def _close_all(attempts: "set[asyncio.Task[StampedStream]]") -> None:
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
        # `StampedStream` takes the target's own context, made when it is needed: here is none.
        unused = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        super().__init__(verify=unused, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=unused, network_backend=TimedBackend(phases, meter, tls), max_connections=8
        )


def earliest_expiry(connection: ssl.SSLObject | ssl.SSLSocket | None) -> float | None:
    """When the first certificate of the chain expires, epoch seconds; None: none can be read."""
    if connection is None:
        return None
    found = []
    for certificate in _chain(connection):
        try:
            found.append(x509.load_der_x509_certificate(certificate).not_valid_after_utc.timestamp())
        except (ValueError, OverflowError):
            continue
    return min(found, default=None)


def _chain(connection: ssl.SSLObject | ssl.SSLSocket) -> list[bytes]:
    """What the server sent, leaf first."""
    if hasattr(connection, "get_unverified_chain"):  # Python 3.13
        return [bytes(certificate) for certificate in connection.get_unverified_chain()]
    inner = getattr(connection, "_sslobj", None)
    # Before 3.13 only the inside of `ssl` tells more than the leaf.
    for owner in (inner, getattr(inner, "_sslobj", None)):
        ask = getattr(owner, "get_unverified_chain", None)
        if ask is not None:  # 2: _ssl.ENCODING_DER
            return [certificate.public_bytes(2) for certificate in ask() or ()]
    leaf = connection.getpeercert(binary_form=True)
    return [leaf] if leaf else []
