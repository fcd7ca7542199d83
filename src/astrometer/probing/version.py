"""A target -> its AstrBot version. Only the command /help says it; the model is not asked."""

import re

from astrometer.api.endpoints import VERSION
from astrometer.config.settings import Target
from astrometer.probing.context import Context
from astrometer.probing.plan import Plan
from astrometer.probing.probe_files import Probe
from astrometer.probing.run_record import Limits
from astrometer.probing.runner import Runner
from astrometer.probing.verdict import Verdict

_LINE = re.compile(rf"AstrBot ({VERSION.pattern})")


async def ask(ctx: Context) -> str | None:
    """The version as /help says it, such as "4.29.3"; None when it does not."""
    turn = await ctx.chat("/help")
    found = _LINE.search(turn.text)
    return found[1].removeprefix("v") if found else None


async def version_of(target: Target, timeout_s: float) -> str | None:
    """Ask, and delete the session that asking made, where this AstrBot can. None when nobody answered."""
    found: list[str | None] = []

    async def probe(ctx: Context) -> Verdict:
        found.append(await ask(ctx))
        return Verdict.passed()

    wanted = Probe(
        name="version", function=probe, interval_s=timeout_s, scopes=(), costs_tokens=False, summary=""
    )
    await Runner().run(Plan(target=target, probe=wanted, limits=Limits(total_s=timeout_s)))
    return found[0] if found else None
