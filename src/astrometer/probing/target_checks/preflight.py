"""A target -> does it answer like an AstrBot, does it take the keys, is it the simulator? Asked before a run.

One free question each, bounded in bytes and in time as every call of the probes is; nothing is decompressed.
"""

import asyncio
from urllib.parse import urlsplit

from astrometer.api.call_exchange import CallResult
from astrometer.api.endpoints import SCOPES, SESSIONS, START_TIME, Endpoint
from astrometer.api.outcome import Outcome
from astrometer.config.settings import Key, Target
from astrometer.im.link.link_address import LinkAddress
from astrometer.outside_text import read_json, shown
from astrometer.probing.messenger_setup.adapter_link import TokenCheck, check_token
from astrometer.probing.transport.probe_client import HeaderStyle, Transport
from astrometer.wire.tls import TlsSettings

TIMEOUT_S = 5.0
MAX_BYTES = 256 * 1024
SIMULATOR_STATS = Endpoint("sim_stats", "GET", "/sim/stats", None)
_NO_SUCH_PATH = (404, 405)  # every AstrBot has the list of sessions; it says 404 as JSON, too
_BUSY = (Outcome.SERVER_ERROR, Outcome.RATE_LIMITED)


class Unreachable(Exception):
    """The target does not answer; the text says how."""


class KeyRefused(Exception):
    """A load with such a key would be one of refusals."""


class NotAstrBot(Exception):
    """Something else answers there."""


class MessengerRefused(Exception):
    """The adapter would let nobody in; the text says what to change."""


def check_reachable(target: Target, timeout_s: float = TIMEOUT_S) -> None:
    """Raises Unreachable. Sends no key; any HTTP answer will do."""
    answer = _ask(target, START_TIME, None, timeout_s)
    if answer.status is None:
        raise Unreachable(f"{target.url} does not answer: {answer.detail or answer.outcome.value}")


def check_key(target: Target, timeout_s: float = TIMEOUT_S) -> None:
    """Raises KeyRefused or NotAstrBot. A server that is in trouble, or a key without the scope, may pass."""
    used = [key for scope in SCOPES if (key := target.key_for(scope)) is not None]
    for key in {key.secret: key for key in used}.values():
        answer = _ask(target, SESSIONS, key, timeout_s, username="astrometer", page_size="1")
        if answer.status is None or answer.outcome in _BUSY:
            continue
        if answer.outcome is Outcome.UNAUTHORIZED:
            raise KeyRefused(f"{target.url} refuses the key (HTTP 401): it is bad, revoked or expired")
        if not _is_envelope(answer) or answer.status in _NO_SUCH_PATH:
            about = answer.detail if 300 <= answer.status < 400 else f"HTTP {answer.status}"
            kind = answer.content_type or "no content type"
            raise NotAstrBot(
                f"{target.url} answers, but not like an AstrBot ({shown(f'{about}, {kind}')})"
                f"{_without_path(target.url)}"
            )


def check_adapter(address: LinkAddress, tls: TlsSettings, timeout_s: float = TIMEOUT_S) -> None:
    """Raises Unreachable, and MessengerRefused for the token. Becomes nobody's client."""
    found, said = asyncio.run(check_token(address, tls, timeout_s))
    if found is TokenCheck.NO_ADAPTER:
        raise Unreachable(f"no messenger's adapter answers at {address.netloc}: {said}")
    if found in (TokenCheck.WRONG, TokenCheck.MISSING):
        raise MessengerRefused(f"the adapter at {address.netloc} lets nobody in: {said}")


def server_kind(target: Target, timeout_s: float = TIMEOUT_S) -> str:
    """Only the simulator counts aloud; AstrBot has no such page."""
    told = _envelope(_ask(target, SIMULATOR_STATS, None, timeout_s))
    return "simulator" if "chats_started" in told else "astrbot"


def _ask(target: Target, endpoint: Endpoint, key: Key | None, timeout_s: float, **params: str) -> CallResult:
    async def ask() -> CallResult:
        transport = Transport(target.url, tls=target.tls)
        try:
            return await transport.call(
                endpoint,
                key,
                timeout_s=timeout_s,
                connect_s=timeout_s,
                raw=True,
                max_bytes=MAX_BYTES,
                params=params or None,
                style=HeaderStyle.BEARER,
            )
        finally:
            await transport.aclose()

    return asyncio.run(ask())


def _without_path(url: str) -> str:
    """What to try where somebody gave the address of the API, and not that of the server."""
    parts = urlsplit(url)
    return f": try {parts.scheme}://{parts.netloc}" if parts.path.strip("/") else ""


def _envelope(answer: CallResult) -> dict[str, object]:
    try:
        told = read_json(answer.body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _is_envelope(answer: CallResult) -> bool:
    return bool({"status", "detail"} & _envelope(answer).keys())
