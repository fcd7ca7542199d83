"""The ways to chat over a target's API -> what closes them. Costs no token, asks no model."""

import base64
import secrets

import httpx

from astrometer.api.chat.socket_turn import CHAT_SOCKET, NO_SOCKET
from astrometer.api.endpoints import CHAT, parse_version
from astrometer.config.settings import Target
from astrometer.probing.context import Context
from astrometer.probing.one_off import run_function
from astrometer.probing.target_checks.scopes import MATRIX, Admission, look
from astrometer.probing.transport.probe_client import Transport
from astrometer.probing.verdict import Verdict

TIMEOUT_S = 10.0
SWITCHING = 101


async def check_chat_key(target: Target) -> str | None:
    """What keeps the key from chatting; None: nothing is known to."""
    found: list[str] = []

    async def probe(ctx: Context) -> Verdict:
        row = next(row for row in MATRIX if row.endpoint is CHAT)
        cell = await look(ctx, ctx.key("chat"), row)
        if cell.actual in {Admission.DENIED, Admission.UNKNOWN_KEY}:
            found.append(
                f"{target.url} does not let the key chat ({cell.outcome.value}): it needs the scope chat"
            )
        return Verdict.passed()

    await run_function(target, "way_check", probe, TIMEOUT_S)
    return found[0] if found else None


async def check_chat_socket(target: Target, version: str | None) -> str | None:
    """What keeps a WebSocket from being opened; None: it was."""
    if version is not None and _is_older(version):
        since = ".".join(map(str, CHAT_SOCKET.since or ()))
        return f"AstrBot {version} has no WebSocket for chats: it came with {since}"
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(secrets.token_bytes(16)).decode(),
    }
    transport = Transport(target.url, tls=target.tls)
    try:
        key = target.key_for("chat")
        answer = await transport.head_of(CHAT_SOCKET, timeout_s=TIMEOUT_S, key=key, headers=upgrade)
    except (httpx.TransportError, TimeoutError) as exc:
        return f"{target.url}: no answer to the handshake of a WebSocket ({type(exc).__name__})"
    finally:
        await transport.aclose()
    return None if answer.status_code == SWITCHING else f"{target.url}: {NO_SOCKET}"


def _is_older(version: str) -> bool:
    try:
        return parse_version(version) < (CHAT_SOCKET.since or ())
    except ValueError:
        return False
