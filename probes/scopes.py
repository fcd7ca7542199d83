"""May each key do what its scopes say, and nothing else? Every key, every endpoint, no token spent."""

from astrometer.probing import Context, Verdict, judge, look_at_all, rows_of

INTERVAL = 300
OPTIONS = {"skip_keys": []}  # names of keys to leave out, such as revoked ones of the probe `auth`


async def probe(ctx: Context) -> Verdict:
    keys = [key for key in ctx.target.keys.values() if key.name not in ctx.options["skip_keys"]]
    return judge(ctx, await look_at_all(ctx, keys, await rows_of(ctx)))
