"""Does the push API work? By default nothing is sent: the platform named does not exist, AstrBot must say so.

With `umo` a real message is pushed there, each time, and cannot be taken back.
"""

from collections.abc import Mapping
from typing import Any

from astrometer.probing import IM_BOTS, IM_MESSAGE, Context, Outcome, Verdict, im_body

INTERVAL = 300
SCOPES = ("im",)
OPTIONS = {"umo": "", "text": "[astrometer] probe {nonce}"}
PRICED_BY = ("umo",)
NOWHERE = "astrometer-nowhere"
# AstrBot up to 4.25 says so with HTTP 200, from 4.26 on with HTTP 400.
REFUSALS = {(200, Outcome.API_ERROR), (400, Outcome.CLIENT_ERROR)}


def check(options: Mapping[str, Any]) -> None:
    if options["umo"]:
        im_body(umo=options["umo"], message=options["text"])  # raises, with the rule that is broken


async def probe(ctx: Context) -> Verdict:
    key = ctx.key("im")
    bots = await ctx.get(IM_BOTS, key)
    if not bots.outcome.is_ok:
        return Verdict.of(bots)
    if ctx.options["umo"]:
        text = ctx.options["text"].replace("{nonce}", ctx.nonce)
        sent = await ctx.post(IM_MESSAGE, key, im_body(umo=ctx.options["umo"], message=text))
        return Verdict.of(sent, f"accepted for {ctx.options['umo']}")
    pushed = await ctx.post(IM_MESSAGE, key, im_body(umo=f"{NOWHERE}:FriendMessage:probe", message=ctx.nonce))
    refused = (pushed.status, pushed.outcome) in REFUSALS
    if refused and pushed.detail == f"Bot not found or not running for platform: {NOWHERE}":
        return Verdict.passed(f"bots: {', '.join(names(bots.payload)) or 'none'}")
    if pushed.outcome.is_ok:
        return Verdict.failed(Outcome.MALFORMED, "a push to a platform that does not exist was accepted")
    return Verdict.of(pushed)


def names(payload: object) -> list[str]:
    ids = payload.get("bot_ids") if isinstance(payload, dict) else None
    return [str(name) for name in ids] if isinstance(ids, list) else []
