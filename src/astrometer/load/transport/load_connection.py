"""Host and port -> a connection, or the named way in which that failed."""

import os
import socket as std_socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias
from urllib.parse import urlsplit

import gevent
from gevent import monkey, socket
from gevent.queue import Empty, SimpleQueue

from astrometer.api.outcome import Outcome
from astrometer.load.transport.link import Link, TlsLink
from astrometer.wire.happy_eyeballs import ATTEMPT_DELAY_S, in_turns
from astrometer.wire.tls import DEFAULT, TlsSettings, context_of, reason_of

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


Address: TypeAlias = tuple[int, Any]  # family, and what `connect` takes
Resolve: TypeAlias = Callable[[Origin], list[Address]]


def dial(
    origin: Origin, timeout_s: float, tls: TlsSettings = DEFAULT, resolve: Resolve | None = None
) -> Link:
    """Return a connection within `timeout_s`, TLS included. Raises Broken.

    `resolve` stands in for the system's resolver in tests.
    """
    gevent.get_hub().loop.update_now()  # or the timer starts at the beginning of the loop's round
    timer = gevent.Timeout.start_new(max(timeout_s, 0.0))
    try:
        sock = _first_to_connect((resolve or _resolve)(origin))
        return _secured(sock, origin, tls) if origin.tls else Link(sock)
    except gevent.Timeout as exc:
        if exc is not timer:
            raise
        raise Broken(Outcome.TIMEOUT_CONNECT, f"no connection within {timeout_s:.1f} s") from None
    finally:
        timer.close()


def is_stale(link: Link) -> bool:
    """Whether an idle connection has something to say: it was closed, or is out of step."""
    if link.is_over:
        return True
    poll = _poll()
    try:
        poll.register(link.fileno(), _POLLIN)
    except (OSError, ValueError):
        return True
    return bool(poll.poll(0))


def _resolve(origin: Origin) -> list[Address]:
    try:
        found = socket.getaddrinfo(origin.host, origin.port, 0, std_socket.SOCK_STREAM)
    except (std_socket.gaierror, UnicodeError, ValueError) as exc:
        raise Broken(Outcome.DNS, "the host name does not resolve") from exc
    return [(family, address) for family, _, _, _, address in found]


def _first_to_connect(addresses: Iterable[Address]) -> Any:
    """Race them as browsers do: the next begins when one has failed, or has not answered for a moment."""
    waiting = in_turns(addresses, lambda address: address[0])
    if len(waiting) == 1:
        sock, problem = _attempt(waiting[0])
        return sock if sock is not None else _refused(problem)
    ended: Any = SimpleQueue()
    racing: list[Any] = []
    first_problem: OSError | None = None
    running = 0
    try:
        while waiting or running:
            if waiting:
                racing.append(gevent.spawn(lambda address: ended.put(_attempt(address)), waiting.pop(0)))
                running += 1
            try:
                sock, problem = ended.get(timeout=ATTEMPT_DELAY_S if waiting else None)
            except Empty:
                continue
            if sock is not None:
                return sock
            running -= 1
            first_problem = first_problem or problem
    finally:
        for attempt in racing:
            attempt.kill(block=False)
            # One that is just done must not leave its socket open.
            attempt.link(lambda _: _close_all(ended))
    return _refused(first_problem)


def _attempt(address: Address) -> tuple[Any, OSError | None]:
    family, place = address
    sock = None
    try:
        sock = socket.socket(family, std_socket.SOCK_STREAM)
        sock.connect(place)
        sock.setsockopt(std_socket.IPPROTO_TCP, std_socket.TCP_NODELAY, 1)
    except OSError as exc:
        if sock is not None:
            sock.close()
        return None, exc
    except BaseException:
        if sock is not None:
            sock.close()
        raise
    return sock, None


def _close_all(ended: Any) -> None:
    while not ended.empty():
        sock, _ = ended.get_nowait()
        if sock is not None:
            sock.close()


def _refused(problem: OSError | None) -> NoReturn:
    code = problem.errno if problem is not None else None
    raise Broken(Outcome.CONNECT, os.strerror(code) if code else "no connection") from problem


def _secured(sock: Any, origin: Origin, settings: TlsSettings) -> Link:
    try:
        # Over memory it needs no class of gevent's: it never sees the socket.
        link = TlsLink(sock, context_of(settings), origin.host)
    except (OSError, ValueError) as exc:
        sock.close()
        raise Broken(Outcome.TLS, str(exc)) from exc
    try:
        link.handshake()
    except OSError as exc:  # certificate and protocol errors are OSErrors too
        link.close()
        raise Broken(Outcome.TLS, reason_of(exc)) from exc
    except BaseException:
        link.close()
        raise
    return link
