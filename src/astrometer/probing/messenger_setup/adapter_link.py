"""An adapter -> what is there: nothing, something else, what it thinks of a token, whether it has a client.

Nobody becomes a client for that. AstrBot looks at the token first and at the account afterwards: a handshake
that names no account is refused with 400 once the token is right. Without a client AstrBot has nobody to give
a push to; a client refuses one to a user who does not exist, or takes it.
"""

import asyncio
import secrets
from dataclasses import replace
from enum import StrEnum

from astrometer.api.chat.messages import im_body
from astrometer.api.endpoints import IM_MESSAGE
from astrometer.api.outcome import Outcome
from astrometer.config.settings import Key
from astrometer.im.link.link_address import LinkAddress
from astrometer.im.link.link_end import LinkEnd
from astrometer.probing.context import Context
from astrometer.probing.transport.messenger_link import MessengerLink
from astrometer.wire.tls import TlsSettings

RIGHT_TOKEN, WANTS_TOKEN, WRONG_TOKEN = 400, 401, 403
TRY_S = 2.0
NOBODY = "1"  # numbers of QQ begin at 10000
NO_LINK = "Failed to send message:"  # and nothing behind it: AstrBot knows of nobody to send it to
CLIENT_SAYS = ("ActionFailed", "retcode")
ANSWER_S = 10.0  # a client that hangs answers after three minutes
_FIRST_ACCOUNT = 10**12  # not a number that a QQ account has


class TokenCheck(StrEnum):
    RIGHT = "right"
    WRONG = "wrong"
    MISSING = "missing"  # it wants one, and none was shown
    NOT_WANTED = "not_wanted"  # it lets everybody in
    NO_ADAPTER = "no_adapter"  # nothing answers, or something else does


class Linked(StrEnum):
    CLIENT = "client"
    NOBODY = "nobody"  # or a client that AstrBot lost when it connected twice
    NOT_RUNNING = "not_running"
    UNKNOWN = "unknown"


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


async def answers(address: LinkAddress) -> bool:
    """Whether something is there already. Not a port of Docker's, behind which nothing listens yet."""
    try:
        async with asyncio.timeout(TRY_S):
            reader, writer = await asyncio.open_connection(address.host, address.port)
    except (OSError, TimeoutError):
        return False
    try:
        # Plain HTTP: an adapter answers it with 404 or 405, and takes nobody for its client.
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(TRY_S):
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


async def look_for_client(ctx: Context, key: Key, adapter_id: str) -> tuple[Linked, str]:
    """The text is AstrBot's, or says why nobody knows."""
    umo = f"{adapter_id}:FriendMessage:{NOBODY}"
    pushed = await ctx.call(
        IM_MESSAGE, key, json=im_body(umo=umo, message=f"[astrometer] {ctx.nonce}"), timeout_s=ANSWER_S
    )
    said = pushed.detail.strip()
    # AstrBot up to 4.25 refuses with HTTP 200, from 4.26 on with HTTP 400.
    refused = pushed.outcome is Outcome.API_ERROR or pushed.status == 400
    if pushed.outcome.is_ok or (refused and any(word in said for word in CLIENT_SAYS)):
        return Linked.CLIENT, said
    if refused and said == NO_LINK:
        return Linked.NOBODY, said
    if refused and said.startswith("Bot not found or not running"):
        return Linked.NOT_RUNNING, said
    if pushed.outcome is Outcome.TIMEOUT_TOTAL:
        return Linked.CLIENT, f"no answer for {ANSWER_S:g} s: its client does not acknowledge"
    return Linked.UNKNOWN, f"{pushed.outcome}: {said}"
