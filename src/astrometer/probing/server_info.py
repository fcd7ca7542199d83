"""A target -> what to know before a run: its AstrBot version, and whom its chat key may chat as and delete.

Costs no tokens. What asking makes is removed where this AstrBot can.
"""

from dataclasses import dataclass

from astrometer.config.settings import Target
from astrometer.probing import version
from astrometer.probing.cleanup.identity import Identity
from astrometer.probing.context import Context
from astrometer.probing.plan import Plan
from astrometer.probing.probe_files import Probe
from astrometer.probing.run_record import Limits
from astrometer.probing.runner import Runner
from astrometer.probing.verdict import ProbeFailed, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """None: the server did not say. `trouble`: why not."""

    version: str | None = None
    identity: Identity | None = None
    trouble: str = ""


async def standing_of(target: Target, timeout_s: float, *, ask_version: bool = True) -> Standing:
    """Ask once; never raises for a server that does not answer."""
    found: list[Standing] = []

    async def probe(ctx: Context) -> Verdict:
        try:
            who = await ctx.identity(ctx.key("chat"))
        except ProbeFailed as exc:
            found.append(Standing(trouble=str(exc)))
            return Verdict.passed()
        said = await version.ask(ctx) if ask_version else None
        found.append(Standing(version=said, identity=who))
        return Verdict.passed()

    wanted = Probe(
        name="standing", function=probe, interval_s=timeout_s, scopes=(), costs_tokens=False, summary=""
    )
    run = await Runner().run(Plan(target=target, probe=wanted, limits=Limits(total_s=timeout_s)))
    return found[0] if found else Standing(trouble=run.detail or run.note)
