"""Do the lists answer, with what they promise? Sessions, configs and bots; each if there is a key for it."""

from astrometer.probing import CONFIGS, IM_BOTS, SESSIONS, Context, NotApplicable, Outcome, Verdict

INTERVAL = 60
READS = (
    (SESSIONS, "sessions", {"username": "astrometer-probe", "page_size": "1"}),
    (CONFIGS, "configs", {}),
    (IM_BOTS, "bot_ids", {}),
)


async def probe(ctx: Context) -> Verdict:
    answered = []
    for endpoint, field, params in READS:
        if endpoint.scope is None or not ctx.has_key(endpoint.scope):
            continue
        result = await ctx.get(endpoint, ctx.key(endpoint.scope), **params)
        if not result.outcome.is_ok:
            return Verdict.failed(result.outcome, f"{endpoint.path}: {result.detail}")
        if not has_list(result.payload, field):
            return Verdict.failed(Outcome.MALFORMED, f"{endpoint.path}: no list of {field} in the answer")
        answered.append(endpoint.name)
    if not answered:
        raise NotApplicable("no key has the scope chat, config or im")
    return Verdict.passed(", ".join(answered))


def has_list(payload: object, field: str) -> bool:
    return isinstance(payload, list) or (isinstance(payload, dict) and isinstance(payload.get(field), list))
