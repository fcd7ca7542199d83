"""Does AstrBot answer at all? Needs no key, and tells since when it runs.

How long the answer takes shows how busy AstrBot's event loop is.
"""

from astrometer.probing import START_TIME, Context, NotApplicable, Outcome, Verdict, started_at

INTERVAL = 60
HELD_BACK = (401, 403, 404, 405)  # by a proxy: every AstrBot answers


async def probe(ctx: Context) -> Verdict:
    answer = await ctx.get(START_TIME, None)
    if answer.status in HELD_BACK:
        raise NotApplicable(f"a proxy does not let GET {START_TIME.path} through (HTTP {answer.status})")
    if answer.outcome.is_ok and started_at(answer) is None:
        return Verdict.failed(Outcome.MALFORMED, f"{START_TIME.path}: no start time in the answer")
    return Verdict.of(answer)
