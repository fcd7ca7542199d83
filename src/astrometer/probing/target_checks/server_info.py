"""A target -> what to know before a run: its AstrBot version, and whom its chat key may chat as and delete.

Costs no tokens: the command /help, which tells the version where nothing else does, does not reach the model.
What asking makes is removed where this AstrBot can.
"""

from dataclasses import dataclass

from astrometer.api.server_versions import ServerVersions, version_in_help
from astrometer.config.settings import Target
from astrometer.probing.cleanup.identity import Identity
from astrometer.probing.context import Context
from astrometer.probing.one_off import run_function
from astrometer.probing.verdict import NotApplicable, ProbeFailed, Verdict

TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """None: the server did not say, or was not asked. `trouble`: why it did not."""

    version: str | None = None
    identity: Identity | None = None
    trouble: str = ""


async def ask_version(ctx: Context, *, may_chat: bool = True) -> ServerVersions | None:
    """Without a key where that is possible, else by /help. None: neither says it. Raises ProbeFailed."""
    told = await ctx.asks.versions_without_key()
    if told is None and may_chat and ctx.has_key("chat"):
        return version_in_help((await ctx.chat("/help")).text)
    return told


async def ask_server_info(
    target: Target, timeout_s: float = TIMEOUT_S, *, with_version: bool = True, with_identity: bool = True
) -> ServerInfo:
    """Ask once; never raises for a server that does not answer."""
    found = ServerInfo()

    async def probe(ctx: Context) -> Verdict:
        nonlocal found
        try:
            told = await ask_version(ctx) if with_version else None
            found = ServerInfo(version=told.running if told else None)
            who = await ctx.identity(ctx.key("chat")) if with_identity else None
            found = ServerInfo(version=found.version, identity=who)
        except (ProbeFailed, NotApplicable) as exc:
            found = ServerInfo(version=found.version, trouble=str(exc))
        return Verdict.passed()

    run = await run_function(target, "server_info", probe, timeout_s)
    if not run.ok and not found.trouble:
        return ServerInfo(version=found.version, identity=found.identity, trouble=run.detail or run.note)
    return found
