"""Are requests without a key or with a bad one refused? Does a good key work in every header?"""

from astrometer.probing import Context, Verdict, check_credentials

INTERVAL = 300
OPTIONS = {"revoked": []}  # names of keys of the target that must be rejected


async def probe(ctx: Context) -> Verdict:
    return await check_credentials(ctx, revoked=ctx.options["revoked"])
