"""Does a session remember? A word is told in the first turn and asked for in the second."""

from astrometer.probing import Context, Verdict

INTERVAL = 43200
SCOPES = ("chat",)
COSTS_TOKENS = True
TURNS = 2
OPTIONS = {
    "tell": "[probe] Remember this word, and answer with it alone: {nonce}",  # first, with `{nonce}`
    "ask": "[probe] Which word did I ask you to remember? Answer with that word alone.",  # second, without it
}


async def probe(ctx: Context) -> Verdict:
    told = await ctx.chat(ctx.options["tell"].replace("{nonce}", ctx.nonce), canary=ctx.nonce)
    if not told.outcome.is_ok:
        return Verdict.of(told)
    asked = await ctx.chat(ctx.options["ask"], canary=ctx.nonce, session_id=told.session_id)
    return Verdict.of(asked)
