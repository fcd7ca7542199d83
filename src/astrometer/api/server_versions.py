"""What AstrBot answers of its own version -> that version, checked. No I/O.

From 4.26 on it tells everybody who asks. Before, the command /help does: a chat, for which a key is needed.
"""

import math
import re
from dataclasses import dataclass

from astrometer.api.call_exchange import CallResult
from astrometer.api.endpoints import VERSION, VERSIONS, VERSIONS_V1
from astrometer.api.outcome import Outcome

# In this order; a reverse proxy may let nothing through but the second's part of the API.
QUESTIONS = (VERSIONS, VERSIONS_V1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerVersions:
    """Such as "4.29.3". `on_disk` None: not known."""

    running: str
    on_disk: str | None = None

    @property
    def is_outdated(self) -> bool:
        """The code on disk was changed since the server began; it runs when the server is restarted."""
        return self.on_disk is not None and self.on_disk != self.running


def versions_in(answer: CallResult) -> ServerVersions | None:
    """By the answer to one of QUESTIONS; None when something else answered."""
    told = answer.payload if answer.outcome.is_ok and isinstance(answer.payload, dict) else {}
    running = _checked(told.get("astrbot_version"))
    if running is None:
        return None
    return ServerVersions(running=running, on_disk=_checked(told.get("astrbot_code_version")))


def is_before_4_26(answer: CallResult) -> bool:
    """By the answer to VERSIONS_V1: AstrBot itself asks for a key. A proxy's 401 says nothing."""
    return answer.outcome is Outcome.UNAUTHORIZED and answer.detail == "Missing API key"


def version_in_help(text: str) -> ServerVersions | None:
    """By the answer to /help."""
    found = re.search(rf"AstrBot ({VERSION.pattern})", text)
    return ServerVersions(running=found[1].removeprefix("v")) if found else None


def _checked(text: object) -> str | None:
    if not isinstance(text, str) or VERSION.fullmatch(text) is None:
        return None
    return text.removeprefix("v")


def started_at(answer: CallResult) -> float | None:
    """Since when AstrBot runs, epoch seconds, by its answer to START_TIME. None: something else answered."""
    payload = answer.payload if answer.outcome.is_ok and isinstance(answer.payload, dict) else {}
    told = payload.get("start_time")
    return float(told) if isinstance(told, int | float) and math.isfinite(told) else None
