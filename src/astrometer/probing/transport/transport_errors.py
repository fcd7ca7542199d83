"""httpx's errors -> outcomes, and what to say of them."""

import os
import socket
import ssl
from collections.abc import Iterable

import h11
import httpcore
import httpx

from astrometer.api.outcome import Outcome
from astrometer.probing.transport.stamped_stream import ENDLESS
from astrometer.wire.tls import TlsError, reason_of

# What h11 says when a body ends too early; all else that it complains of is not HTTP.
_CUT_OFF = ("peer closed connection", "without sending complete message body")


def outcome_of(error: Exception) -> Outcome:
    """Which outcome an error of httpx or httpcore is. What broke after the connection stood is `reset`."""
    causes = list(_causes(error))
    if isinstance(error, httpx.ConnectTimeout | httpcore.ConnectTimeout):
        return Outcome.TIMEOUT_CONNECT
    if isinstance(error, httpx.ConnectError | httpcore.ConnectError):
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
