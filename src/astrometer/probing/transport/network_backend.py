"""Name -> addresses -> TCP (-> TLS), each step with the time it took; and httpx's errors -> outcomes.

httpx resolves and connects in one step; a monitor wants to know which of the two was slow or failed.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from time import perf_counter
from typing import Any

import httpcore
import httpx

from astrometer.api.outcome import Outcome
from astrometer.probing.transport.certificates import earliest_expiry
from astrometer.probing.transport.resolver import resolve


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


class TimedBackend(httpcore.AnyIOBackend):
    """Resolves by itself, so that a name that is unknown, or slow, is told from a port that is closed."""

    def __init__(self, phases: Phases) -> None:
        self._phases = phases

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's signature)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        give_up = None if timeout is None else perf_counter() + timeout
        addresses = await self._resolve(host, timeout)
        self._phases.start("connect")
        for index, address in enumerate(addresses):
            left = len(addresses) - index
            share = None if give_up is None else max(0.001, give_up - perf_counter()) / left
            try:
                stream = await super().connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if left == 1:
                    raise
                continue
            self._phases.stop("connect")
            return stream
        raise httpcore.ConnectError("the name has no address")

    async def _resolve(self, host: str, timeout_s: float | None) -> list[str]:
        self._phases.start("resolve")
        try:
            async with asyncio.timeout(timeout_s):
                addresses = await resolve(host)
        except TimeoutError as exc:
            raise httpcore.ConnectTimeout("resolving the name took too long") from exc
        except (socket.gaierror, UnicodeError) as exc:
            raise httpcore.ConnectError("the name cannot be resolved") from exc
        self._phases.stop("resolve")
        return addresses


class TimedTransport(httpx.AsyncHTTPTransport):
    """httpx's own transport over `TimedBackend`. HTTP/1.1, as AstrBot speaks it."""

    def __init__(self, phases: Phases) -> None:
        super().__init__(verify=tls_context(), trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls_context(), network_backend=TimedBackend(phases), max_connections=8
        )


@cache
def tls_context() -> ssl.SSLContext:
    """One for the process: loading the roots takes some 20 ms. Obeys SSL_CERT_FILE and SSL_CERT_DIR."""
    return httpx.create_ssl_context()


def outcome_of(error: Exception) -> Outcome:
    """Which outcome a transport error of httpx is. What broke after the connection stood is `reset`."""
    if isinstance(error, httpx.ConnectTimeout):
        return Outcome.TIMEOUT_CONNECT
    if isinstance(error, httpx.ConnectError):
        causes = list(_causes(error))
        if any(isinstance(cause, socket.gaierror | UnicodeError) for cause in causes):
            return Outcome.DNS
        # TLS errors are OSErrors too: look for them first.
        if any(isinstance(cause, ssl.SSLError) for cause in causes):
            return Outcome.TLS
        return Outcome.CONNECT
    return Outcome.RESET


def said_of(error: Exception) -> str:
    """What the system said ("Connection refused"), or the name of the error: nothing of what was sent."""
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror | UnicodeError):
            return "the name cannot be resolved"
        if isinstance(cause, ssl.SSLError):  # whose errno is not the system's
            return cause.reason or type(error).__name__
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno)
    return type(error).__name__


def _causes(error: BaseException) -> Iterable[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
