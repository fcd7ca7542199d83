"""A target -> what to know before a run: its AstrBot version, and whom its chat key may chat as and delete.

Costs no tokens: the command /help, which tells the version, does not reach the model. What asking makes is
removed where this AstrBot can.
"""

from dataclasses import dataclass

from astrometer.api.endpoints import version_in_help
from astrometer.config.settings import Target
from astrometer.probing.cleanup.identity import Identity
from astrometer.probing.context import Context
from astrometer.probing.one_off import run_once_off
from astrometer.probing.verdict import ProbeFailed, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """None: the server did not say. `trouble`: why not."""

    version: str | None = None
    identity: Identity | None = None
    trouble: str = ""


async def ask_version(ctx: Context) -> str | None:
    """The version as /help gives it, such as "4.29.3"; None when it does not."""
    turn = await ctx.chat("/help")
    return version_in_help(turn.text)


async def ask_server_info(target: Target, timeout_s: float, *, with_version: bool = True) -> ServerInfo:
    """Ask once; never raises for a server that does not answer."""
    found: list[ServerInfo] = []

    async def probe(ctx: Context) -> Verdict:
        try:
            who = await ctx.identity(ctx.key("chat"))
        except ProbeFailed as exc:
            found.append(ServerInfo(trouble=str(exc)))
            return Verdict.passed()
        version = await ask_version(ctx) if with_version else None
        found.append(ServerInfo(version=version, identity=who))
        return Verdict.passed()

    run = await run_once_off(target, "server_info", probe, timeout_s)
    return found[0] if found else ServerInfo(trouble=run.detail or run.note)
