"""Does the push API work? By default nothing is sent: the platform named does not exist, AstrBot must say so.

With `umo` a real message is pushed there, each time, and cannot be taken back. With `adapters` the messenger
of each must be connected: then it is the messenger that refuses a push to a user who does not exist.
"""

from collections.abc import Mapping
from typing import Any

from astrometer.probing import BOT_STATS, IM_BOTS, IM_MESSAGE, Context, Key, Outcome, Verdict, im_body

INTERVAL = 300
SCOPES = ("im",)
OPTIONS = {
    "umo": "",  # destination of a **real push**, sent in each run, which cannot be taken back
    "text": "[astrometer] probe {nonce}",  # the text of that push
    "adapters": [],  # names of OneBot adapters whose messenger must be connected
}
PRICED_BY = ("umo",)
NOWHERE = "astrometer-nowhere"
NOBODY = "1"  # numbers of QQ begin at 10000
NO_ADAPTER = "Bot not found or not running for platform:"
NO_LINK = "Failed to send message:"  # and nothing behind it: AstrBot knows of nobody to send it to
MESSENGER_SAYS = ("ActionFailed", "retcode")
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
    if refused and pushed.detail == f"{NO_ADAPTER} {NOWHERE}":
        if (dead := await dead_adapters(ctx)) is not None:
            return Verdict.failed(Outcome.LOST_LINK, dead)
        for adapter in ctx.options["adapters"]:
            if not (linked := await link_check(ctx, key, adapter)).ok:
                return linked
        return Verdict.passed(f"bots: {', '.join(names(bots.payload)) or 'none'}")
    if pushed.outcome.is_ok:
        return Verdict.failed(Outcome.MALFORMED, "a push to a platform that does not exist was accepted")
    return Verdict.of(pushed)


async def dead_adapters(ctx: Context) -> str | None:
    """Those that ended with an error, where a key may ask (scope bot; AstrBot 4.26 or later).

    `running`, which the others are, says nothing of a messenger behind them: see `link_check`.
    """
    if not ctx.has_key("bot"):
        return None
    told = await ctx.get(BOT_STATS, ctx.key("bot"))
    adapters = told.payload.get("platforms") if isinstance(told.payload, dict) else None
    dead = [
        f"{item.get('id')}: ended with {(item.get('last_error') or {}).get('message') or 'an error'}"
        for item in (adapters if told.outcome.is_ok and isinstance(adapters, list) else ())
        if isinstance(item, dict) and item.get("status") == "error"
    ]
    return "; ".join(dead) or None


async def link_check(ctx: Context, key: Key, adapter: str) -> Verdict:
    """Whether the messenger of an adapter takes what AstrBot sends. Nobody gets it."""
    pushed = await ctx.post(
        IM_MESSAGE, key, im_body(umo=f"{adapter}:FriendMessage:{NOBODY}", message=ctx.nonce)
    )
    refused = (pushed.status, pushed.outcome) in REFUSALS
    if pushed.outcome.is_ok or (refused and any(word in pushed.detail for word in MESSENGER_SAYS)):
        return Verdict.passed()
    if refused and pushed.detail.strip() == NO_LINK:
        why = "no messenger is connected, or AstrBot lost it when it connected twice: connect it anew"
    elif refused and pushed.detail.startswith(NO_ADAPTER):
        why = "AstrBot runs no such adapter: it is switched off, its port is taken, or its name is another"
    elif pushed.outcome is Outcome.TIMEOUT_TOTAL:  # a moment ago AstrBot listed its bots
        why = "the messenger does not answer what AstrBot sends it"
    else:
        return Verdict.failed(pushed.outcome, f"{adapter}: {pushed.detail}")
    return Verdict.failed(Outcome.LOST_LINK, f"{adapter}: {why}")


def names(payload: object) -> list[str]:
    ids = payload.get("bot_ids") if isinstance(payload, dict) else None
    return [str(name) for name in ids] if isinstance(ids, list) else []
