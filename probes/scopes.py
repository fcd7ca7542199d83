"""May each key do what its scopes say, and nothing else? Every key, every endpoint, no token spent."""

from astrometer.probing import Context, Verdict, check_scopes

INTERVAL = 300
OPTIONS = {"skip_keys": []}  # names of keys to leave out, such as revoked ones of the probe `auth`


async def probe(ctx: Context) -> Verdict:
    return await check_scopes(ctx, skip_keys=ctx.options["skip_keys"])
