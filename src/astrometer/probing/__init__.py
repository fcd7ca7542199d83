"""What a probe file is made of: `async def probe(ctx: Context) -> Verdict`. This is the stable surface.

Nothing is imported before it is asked for, so that a module of this package costs no other.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astrometer.api.chat.messages import Attachment as Attachment
    from astrometer.api.chat.messages import AttachmentKind as AttachmentKind
    from astrometer.api.chat.messages import Plain as Plain
    from astrometer.api.chat.messages import Reply as Reply
    from astrometer.api.chat.messages import im_body as im_body
    from astrometer.api.endpoints import CONFIGS as CONFIGS
    from astrometer.api.endpoints import IM_BOTS as IM_BOTS
    from astrometer.api.endpoints import IM_MESSAGE as IM_MESSAGE
    from astrometer.api.endpoints import SESSIONS as SESSIONS
    from astrometer.api.endpoints import START_TIME as START_TIME
    from astrometer.api.management_endpoints import BOT_STATS as BOT_STATS
    from astrometer.api.outcome import Outcome as Outcome
    from astrometer.api.server_versions import started_at as started_at
    from astrometer.config.settings import Key as Key
    from astrometer.probing.context import Context as Context
    from astrometer.probing.target_checks.credentials import check_credentials as check_credentials
    from astrometer.probing.target_checks.scopes import check_scopes as check_scopes
    from astrometer.probing.transport.probe_client import Upload as Upload
    from astrometer.probing.verdict import NotApplicable as NotApplicable
    from astrometer.probing.verdict import ProbeFailed as ProbeFailed
    from astrometer.probing.verdict import ProbeReason as ProbeReason
    from astrometer.probing.verdict import Verdict as Verdict

_HOMES = {
    "astrometer.api.endpoints": ("CONFIGS", "IM_BOTS", "IM_MESSAGE", "SESSIONS", "START_TIME"),
    "astrometer.api.management_endpoints": ("BOT_STATS",),
    "astrometer.api.chat.messages": ("Attachment", "AttachmentKind", "Plain", "Reply", "im_body"),
    "astrometer.api.outcome": ("Outcome",),
    "astrometer.api.server_versions": ("started_at",),
    "astrometer.config.settings": ("Key",),
    "astrometer.probing.context": ("Context",),
    "astrometer.probing.target_checks.credentials": ("check_credentials",),
    "astrometer.probing.target_checks.scopes": ("check_scopes",),
    "astrometer.probing.transport.probe_client": ("Upload",),
    "astrometer.probing.verdict": ("NotApplicable", "ProbeFailed", "ProbeReason", "Verdict"),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(name for names in _HOMES.values() for name in names)
