"""An adapter's address -> what is there: nothing, something else, an adapter and what it thinks of a token.

AstrBot looks at the token first and at the account afterwards. A handshake that names no account is refused
with 400 once the token is right: so a token is checked without becoming a client, of whoever's adapter it is.
"""

import asyncio
import secrets
from dataclasses import replace
from enum import StrEnum

from astrometer.api.outcome import Outcome
from astrometer.im.link.link_address import LinkAddress
from astrometer.im.link.link_end import LinkEnd
from astrometer.probing.transport.messenger_link import MessengerLink
from astrometer.wire.tls import TlsSettings

RIGHT_TOKEN, WANTS_TOKEN, WRONG_TOKEN = 400, 401, 403
_FIRST_ACCOUNT = 10**12  # not a number that a QQ account has


class TokenCheck(StrEnum):
    """What an adapter thinks of a token."""

    RIGHT = "right"
    WRONG = "wrong"
    MISSING = "missing"  # it wants one, and none was shown
    NOT_WANTED = "not_wanted"  # it lets everybody in
    NO_ADAPTER = "no_adapter"  # nothing answers, or something else does


async def check_token(address: LinkAddress, tls: TlsSettings, limit_s: float) -> tuple[TokenCheck, str]:
    """Become nobody's client. The text says what answered, where that is not an adapter's word."""
    if not address.token:
        end = await _refusal(address, tls, limit_s)
        known = {RIGHT_TOKEN: TokenCheck.NOT_WANTED, WANTS_TOKEN: TokenCheck.MISSING}
        return known.get(end.status or 0, TokenCheck.NO_ADAPTER), end.detail
    end = await _refusal(replace(address, token=""), tls, limit_s)
    if end.status == RIGHT_TOKEN:
        return TokenCheck.NOT_WANTED, ""
    if end.status != WANTS_TOKEN:
        return TokenCheck.NO_ADAPTER, end.detail
    end = await _refusal(address, tls, limit_s)
    known = {
        RIGHT_TOKEN: TokenCheck.RIGHT,
        WRONG_TOKEN: TokenCheck.WRONG,
        WANTS_TOKEN: TokenCheck.MISSING,
    }
    return known.get(end.status or 0, TokenCheck.NO_ADAPTER), end.detail


async def shake_hands(address: LinkAddress, tls: TlsSettings, limit_s: float) -> LinkEnd | None:
    """Be a client for a moment, and leave in order. Returns why it did not work; None when it did.

    Only for an adapter that has no other client.
    """
    link = MessengerLink(replace(address, self_id=new_account()), tls=tls)
    try:
        await link.open(limit_s)
        return link.session.end
    finally:
        await link.aclose()


def new_account() -> int:
    """Never the same twice: AstrBot loses an account that connects while its last link still lives."""
    return _FIRST_ACCOUNT + secrets.randbelow(_FIRST_ACCOUNT)


async def answers(address: LinkAddress, limit_s: float = 2.0) -> bool:
    """Whether something is there already. Not a port of Docker's, behind which nothing listens yet."""
    try:
        async with asyncio.timeout(limit_s):
            reader, writer = await asyncio.open_connection(address.host, address.port)
    except (OSError, TimeoutError):
        return False
    try:
        # Plain HTTP: an adapter answers it with 404 or 405, and takes nobody for its client.
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(limit_s):
            return await reader.read(1) != b""
    except TimeoutError:
        return True
    except OSError:
        return False
    finally:
        writer.close()


async def _refusal(address: LinkAddress, tls: TlsSettings, limit_s: float) -> LinkEnd:
    link = MessengerLink(replace(address, is_named=False), tls=tls)
    try:
        await link.open(limit_s)
        if link.session.end is not None:
            return link.session.end
        return LinkEnd(outcome=Outcome.MALFORMED, t=0.0, detail="it let in a client that names no account")
    finally:
        await link.aclose()
