"""Does the model answer? A question with a nonce; the answer must contain it."""

from astrometer.probing.probe import Context, Verdict

INTERVAL = 60
SCOPES = ("chat",)
COSTS_TOKENS = True


async def probe(ctx: Context) -> Verdict:
    turn = await ctx.chat(
        f"[probe] Answer with exactly this word and nothing else: {ctx.nonce}", canary=ctx.nonce
    )
    return Verdict.of(turn)
