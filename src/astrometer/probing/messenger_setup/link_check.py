"""Whether an adapter has a client, without becoming one: a push to a user who does not exist.

Without a client AstrBot has nobody to give it to; a client refuses it, or takes it for a user nobody has.
"""

from enum import StrEnum

from astrometer.api.endpoints import IM_MESSAGE
from astrometer.api.messages import im_body
from astrometer.api.outcome import Outcome
from astrometer.config.settings import Key
from astrometer.probing.context import Context

NOBODY = "1"  # numbers of QQ begin at 10000
NO_LINK = "Failed to send message:"  # and nothing behind it: AstrBot knows of nobody to send it to
CLIENT_SAYS = ("ActionFailed", "retcode")
ANSWER_S = 10.0  # a client that hangs answers after three minutes


class Linked(StrEnum):
    """Of an adapter."""

    CLIENT = "client"
    NOBODY = "nobody"  # or a client that AstrBot lost when it connected twice
    NOT_RUNNING = "not_running"
    UNKNOWN = "unknown"


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
