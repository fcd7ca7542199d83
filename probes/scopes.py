"""May each key do what its scopes say, and nothing else? Every key, every endpoint, no token spent."""

from astrometer.probing.probe import Context, Verdict
from astrometer.probing.scopes import MATRIX, judge, look

INTERVAL = 300


async def probe(ctx: Context) -> Verdict:
    cells = [await look(ctx, key, row) for key in ctx.target.keys.values() for row in MATRIX]
    return judge(ctx, cells)
