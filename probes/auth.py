"""Is the door where it should be? No key and bad keys stay out; a good key gets in by every header."""

import secrets

from astrometer.probing import (
    MATRIX,
    Context,
    HeaderStyle,
    Key,
    NotApplicable,
    Secret,
    Seen,
    Verdict,
    allows,
    judge_doors,
    try_door,
)

INTERVAL = 300
OPTIONS = {"revoked": []}  # names of keys of the target that must not get in any more


async def probe(ctx: Context) -> Verdict:
    good = [key for key in ctx.target.keys.values() if key.name not in ctx.options["revoked"]]
    if not good:
        raise NotApplicable(f"target {ctx.target.name} has no key that should get in")
    key = good[0]
    row = next(row for row in MATRIX if key.scopes is None or allows(key.scopes, row.endpoint))
    unknown = Key(name="unknown", secret=Secret(f"abk_{secrets.token_urlsafe(24)}"))
    revoked = [key for key in ctx.target.keys.values() if key.name in ctx.options["revoked"]]
    shut = [None, unknown, *revoked]
    doors = [await try_door(ctx, row, bad, HeaderStyle.X_API_KEY, Seen.UNKNOWN_KEY) for bad in shut]
    doors += [await try_door(ctx, row, key, style, Seen.ALLOWED) for style in HeaderStyle]
    return judge_doors(doors)
