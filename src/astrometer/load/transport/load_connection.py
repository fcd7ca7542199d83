"""Host and port -> a connected gevent socket, or the named way in which that failed."""

import os
import socket as std_socket
import ssl as std_ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import gevent
from gevent import monkey, socket, ssl

from astrometer.api.outcome import Outcome

# A connection idle for longer is not used again: AstrBot's server closes after 5 s, and a request that
# crosses the close would be counted as a reset that no browser would ever see.
MAX_IDLE_S = 4.0

# `select` cannot watch file numbers above 1,023, and gevent's poll would yield to other greenlets.
_poll = monkey.get_original("select", "poll")
_POLLIN = 0x001


class Broken(Exception):
    """The exchange cannot go on; `outcome` says why."""

    def __init__(self, outcome: Outcome, detail: str = "") -> None:
        super().__init__(outcome.value)
        self.outcome = outcome
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where to connect to, and what to call it in requests. `prefix` is the path of the base URL."""

    host: str
    port: int
    tls: bool
    authority: str
    prefix: str

    @classmethod
    def of(cls, base_url: str) -> "Origin":
        parts = urlsplit(base_url)
        tls = parts.scheme == "https"
        host = parts.hostname or ""
        shown = f"[{host}]" if ":" in host else host
        return cls(
            host=host,
            port=parts.port or (443 if tls else 80),
            tls=tls,
            authority=shown if parts.port is None else f"{shown}:{parts.port}",
            prefix=parts.path.rstrip("/"),
        )


def dial(origin: Origin, timeout_s: float) -> Any:
    """Return a connected socket within `timeout_s`, TLS included. Raises Broken."""
    gevent.get_hub().loop.update_now()  # or the timer starts at the beginning of the loop's round
    timer = gevent.Timeout.start_new(max(timeout_s, 0.0))
    try:
        sock = _connect(_resolve(origin))
        return _secured(sock, origin) if origin.tls else sock
    except gevent.Timeout as exc:
        if exc is not timer:
            raise
        raise Broken(Outcome.TIMEOUT_CONNECT, f"no connection within {timeout_s:.1f} s") from None
    finally:
        timer.close()


def is_stale(sock: Any) -> bool:
    """Whether an idle connection has something to say: it was closed, or is out of step."""
    poll = _poll()
    try:
        poll.register(sock.fileno(), _POLLIN)
    except (OSError, ValueError):
        return True
    return bool(poll.poll(0))


def _resolve(origin: Origin) -> list[Any]:
    try:
        found = socket.getaddrinfo(origin.host, origin.port, 0, std_socket.SOCK_STREAM)
    except (std_socket.gaierror, UnicodeError) as exc:
        raise Broken(Outcome.DNS, "the host name does not resolve") from exc
    return list(found)


def _connect(addresses: list[Any]) -> Any:
    problem: OSError | None = None
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.connect(address)
            sock.setsockopt(std_socket.IPPROTO_TCP, std_socket.TCP_NODELAY, 1)
        except OSError as exc:
            sock.close()
            problem = problem or exc
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    code = problem.errno if problem is not None else None
    raise Broken(Outcome.CONNECT, os.strerror(code) if code else "no connection") from problem


def _secured(sock: Any, origin: Origin) -> Any:
    # The handshake is a step of its own, so that there is something to close when it fails.
    tls = _tls_context().wrap_socket(sock, server_hostname=origin.host, do_handshake_on_connect=False)
    try:
        tls.do_handshake()
    except OSError as exc:  # certificate and protocol errors are OSErrors too
        tls.close()
        reason = exc.reason if isinstance(exc, std_ssl.SSLError) else None
        raise Broken(Outcome.TLS, str(reason or "the handshake failed")[:100]) from exc
    except BaseException:
        tls.close()
        raise
    return tls


_contexts: list[Any] = []


def _tls_context() -> Any:
    """One context per process: making one reads all certificates, about 20 ms."""
    if not _contexts:
        # `create_default_context` would make the standard library's, which blocks the whole loop.
        context = ssl.SSLContext(std_ssl.PROTOCOL_TLS_CLIENT)
        context.load_default_certs()
        _contexts.append(context)
    return _contexts[0]
