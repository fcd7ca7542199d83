"""What a probe file is made of: `async def probe(ctx: Context) -> Verdict`. This is the stable surface.

Nothing is imported before it is asked for, so that a module of this package costs no other.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astrometer.api.endpoints import CONFIGS as CONFIGS
    from astrometer.api.endpoints import IM_BOTS as IM_BOTS
    from astrometer.api.endpoints import IM_MESSAGE as IM_MESSAGE
    from astrometer.api.endpoints import SESSIONS as SESSIONS
    from astrometer.api.messages import Attachment as Attachment
    from astrometer.api.messages import AttachmentKind as AttachmentKind
    from astrometer.api.messages import Plain as Plain
    from astrometer.api.messages import Reply as Reply
    from astrometer.api.messages import im_body as im_body
    from astrometer.api.outcome import Outcome as Outcome
    from astrometer.config.settings import Key as Key
    from astrometer.config.settings import Secret as Secret
    from astrometer.probing.context import Context as Context
    from astrometer.probing.scopes import MATRIX as MATRIX
    from astrometer.probing.scopes import Seen as Seen
    from astrometer.probing.scopes import allows as allows
    from astrometer.probing.scopes import judge as judge
    from astrometer.probing.scopes import judge_doors as judge_doors
    from astrometer.probing.scopes import look_at_all as look_at_all
    from astrometer.probing.scopes import rows_of as rows_of
    from astrometer.probing.scopes import try_door as try_door
    from astrometer.probing.transport.probe_client import HeaderStyle as HeaderStyle
    from astrometer.probing.transport.probe_client import Upload as Upload
    from astrometer.probing.verdict import NotApplicable as NotApplicable
    from astrometer.probing.verdict import Verdict as Verdict

_HOMES = {
    "astrometer.api.endpoints": ("CONFIGS", "IM_BOTS", "IM_MESSAGE", "SESSIONS"),
    "astrometer.api.messages": ("Attachment", "AttachmentKind", "Plain", "Reply", "im_body"),
    "astrometer.api.outcome": ("Outcome",),
    "astrometer.config.settings": ("Key", "Secret"),
    "astrometer.probing.context": ("Context",),
    "astrometer.probing.scopes": (
        "MATRIX",
        "Seen",
        "allows",
        "judge",
        "judge_doors",
        "look_at_all",
        "rows_of",
        "try_door",
    ),
    "astrometer.probing.transport.probe_client": ("HeaderStyle", "Upload"),
    "astrometer.probing.verdict": ("NotApplicable", "Verdict"),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(name for names in _HOMES.values() for name in names)
