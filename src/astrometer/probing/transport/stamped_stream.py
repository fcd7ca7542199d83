"""A connected socket -> a stream of httpcore's, plain or TLS, whose reads have the times of their arrival."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import anyio
import httpcore

from astrometer.probing.transport.socket_reader import LoopReader
from astrometer.wire.chunked_body import ends_with
from astrometer.wire.outbox import Outbox
from astrometer.wire.receive_stamps import BLOCK_BYTES
from astrometer.wire.tcp_info import TcpInfo, tcp_info
from astrometer.wire.tls import TlsSettings, context_of
from astrometer.wire.tls_pump import TlsPump

# Heads, interim answers, chunk extensions, trailers: more in a row without a byte of an answer is a fault.
MAX_SILENT_BYTES = 64 * 1024
ENDLESS = f"more than {MAX_SILENT_BYTES} bytes without an answer"


def _nothing() -> None:
    """Nobody waits to be told."""


@dataclass(slots=True)
class Meter:
    """What came in on the connections of one client since somebody last looked."""

    networks: list[TcpInfo] = field(default_factory=list)  # of connections that were closed, or never stood
    streaming: bool = False  # events are asked for: each is read as it comes
    connections: int = 0
    received: int = 0
    silent: int = 0  # bytes since the last piece of an answer
    stream: "StampedStream | None" = None  # the newest connection that stands

    def add(self, count: int) -> None:
        self.received += count
        self.silent += count

    def check(self) -> None:
        """Everything read was used. Raises httpcore.RemoteProtocolError when nothing of it was an answer."""
        if self.silent > MAX_SILENT_BYTES:
            raise httpcore.RemoteProtocolError(ENDLESS)

    def note_network(self, sock: socket.socket) -> None:
        """Before `sock` is closed: afterwards the kernel knows nothing of it."""
        info = tcp_info(sock)
        if info is not None:
            self.networks.append(info)

    def broke_unanswered_since(self, before: "Meter") -> bool:
        """Whether a request went out on a kept connection, and not a byte came back."""
        kept = 0 < before.connections == self.connections
        return kept and before.received == self.received


class StampedStream(httpcore.AsyncNetworkStream):
    """One plain connection. `receiver` knows the last read: it came at `t`, and nothing of it before `since`.

    `before_read` is called when everything that was read before has been used: httpcore asks for more only
    then. `asked`: when the last request began to leave, and when all of it had left this process.
    """

    def __init__(self, sock: socket.socket, receiver: LoopReader, meter: Meter, tls: TlsSettings) -> None:
        self._socket = sock
        self._meter = meter
        self._settings = tls
        self.receiver = receiver
        self.before_read: Callable[[], None] = _nothing
        self.asked = (receiver.t, receiver.t)
        self._outbox = Outbox()
        self._asking = self._closed = False
        self._last_read = b""

    @property
    def t(self) -> float:
        return self.receiver.t

    @property
    def since(self) -> float | None:
        return self.receiver.since

    @property
    def is_whole(self) -> bool:
        """Whether the last byte that came is one of what `read` returned last."""
        return True

    def ends_with(self, chunk: bytes) -> bool:
        """Whether what was read last ended with this piece of a body: then it came at `t`."""
        return self.is_whole and ends_with(self._last_read, chunk)

    async def read(
        self,
        max_bytes: int,  # noqa: ARG002 (there is room for all: h11 takes any number)
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's)
    ) -> bytes:
        """What is there, at least a byte; empty at the end of the stream."""
        self.before_read()
        self._meter.check()
        self._last_read = b""
        async with _limited(timeout, httpcore.ReadTimeout):
            try:
                data = await self._next()
            except (OSError, anyio.ClosedResourceError) as exc:  # OSError: an alert of TLS, too
                raise httpcore.ReadError(str(exc)) from exc
        self._asking = False
        self._last_read = data
        self._meter.add(len(data))
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 (httpcore's)
        began = perf_counter()
        if not self._asking:  # nothing of the answer comes earlier
            self._asking, self.asked = True, (began, began)
            self.receiver.asked(began)
        async with _limited(timeout, httpcore.WriteTimeout):
            try:
                await self._send(buffer)
            except (OSError, anyio.ClosedResourceError) as exc:
                raise httpcore.WriteError(str(exc)) from exc
        self.asked = (self.asked[0], perf_counter())
        if len(buffer) >= BLOCK_BYTES:  # a question goes out at once; a file leaves the loop its timers
            await asyncio.sleep(0)

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._meter.note_network(self._socket)
        self.receiver.close()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,  # noqa: ARG002 (httpcore's signature; the target has its own)
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's)
    ) -> httpcore.AsyncNetworkStream:
        """The same connection, encrypted. It is closed when that fails. Raises httpcore.ConnectError."""
        try:
            async with _limited(timeout, httpcore.ConnectTimeout):
                secured = TlsStream(
                    self._socket, self.receiver, self._meter, self._settings, server_hostname=server_hostname
                )
                await secured.handshake()
                self._meter.stream = secured
        except (OSError, ValueError, anyio.ClosedResourceError) as exc:  # TlsError is a ValueError
            await self.aclose()
            raise httpcore.ConnectError(str(exc)) from exc
        except BaseException:
            await self.aclose()
            raise
        return secured

    def network(self) -> TcpInfo | None:
        """What the kernel says of the connection now; None when it is closed, or on other systems."""
        return tcp_info(self._socket)

    def get_extra_info(self, info: str) -> Any:
        if info == "socket":
            return self._socket
        if info == "is_readable":
            return self.receiver.is_readable()
        if info == "client_addr":
            return self._socket.getsockname()
        if info == "server_addr":
            return self._socket.getpeername()
        return None

    async def _next(self) -> bytes:
        return await self.receiver.receive()

    async def _send(self, data: bytes) -> None:
        """Whoever is cancelled in here leaves the rest as the next to go."""
        self._outbox.put(data)
        while not self._outbox.flush(self.receiver.send):
            await anyio.wait_writable(self._socket)


class TlsStream(StampedStream):
    """One connection over TLS. What OpenSSL complains of is raised as it is until httpcore sees it."""

    def __init__(
        self,
        sock: socket.socket,
        receiver: LoopReader,
        meter: Meter,
        tls: TlsSettings,
        *,
        server_hostname: str | None,
    ) -> None:
        super().__init__(sock, receiver, meter, tls)
        self._tls = TlsPump(context_of(tls), server_hostname)

    @property
    def is_whole(self) -> bool:
        return self._tls.is_whole

    async def handshake(self) -> None:
        done = False
        while not done:
            try:
                done = self._tls.handshake()
            finally:
                with suppress(OSError):  # what the other side said before it left is read first
                    await self._flush()
            if not done:
                self._tls.feed(await self.receiver.receive())

    def get_extra_info(self, info: str) -> Any:
        return self._tls.object if info == "ssl_object" else super().get_extra_info(info)

    async def _next(self) -> bytes:
        while not self._tls.is_over:
            if plain := self._tls.receive(await self.receiver.receive(), self.receiver.send):
                return plain
        return self._tls.end()

    async def _send(self, data: bytes) -> None:
        self._tls.write(data)
        await self._flush()

    async def _flush(self) -> None:
        while not self._tls.flush(self.receiver.send):
            await anyio.wait_writable(self._socket)


@asynccontextmanager
async def _limited(seconds: float | None, error: type[Exception]) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as exc:
        raise error(str(exc)) from exc
