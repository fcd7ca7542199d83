"""Chat over WebSocket (AstrBot 4.19.2 and later), sans-IO: frames -> items of one turn, or a refusal.

The events are those of the SSE stream, each in a frame of its own. The key is checked once, at the handshake,
and the refusal is a frame. A socket has one turn at a time, and no heartbeats.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from astrometer.api.chat.sse import ServerEvent
from astrometer.api.endpoints import API, Endpoint
from astrometer.api.outcome import Outcome
from astrometer.outside_text import read_json, shown

CHAT_SOCKET = Endpoint("chat_ws", "GET", f"{API}/chat/ws", "chat", (4, 19, 2))
NO_SOCKET = "no WebSocket there: AstrBot has one from 4.19.2 on, and a proxy has to pass upgrades on"


@dataclass(frozen=True, slots=True)
class SocketRefusal:
    """A turn that did not begin."""

    outcome: Outcome
    detail: str


def question(body: Mapping[str, Any]) -> str:
    """`messages.chat_body` -> the frame that asks it."""
    return json.dumps({"t": "send", **body}, ensure_ascii=False)


class SocketTurn:
    """The frames of one turn, on a socket that may have had others before."""

    def __init__(self) -> None:
        self._begun = False

    def item(self, text: str) -> ServerEvent | SocketRefusal | None:
        """What a frame is to this turn. None: one of the turn before (`message_saved`, up to 4.23.6)."""
        if self._begun:
            return ServerEvent(text)
        try:
            told = read_json(text)
        except ValueError:
            told = None
        type_ = told.get("type") if isinstance(told, dict) else None
        if isinstance(told, dict) and type_ == "error":
            return _refusal(str(told.get("code")), shown(str(told.get("data"))))
        if type_ == "message_saved":
            return None
        self._begun = True
        return ServerEvent(text)


def _refusal(code: str, said: str) -> SocketRefusal:
    if code == "UNAUTHORIZED":
        return SocketRefusal(Outcome.FORBIDDEN if "scope" in said else Outcome.UNAUTHORIZED, said)
    if code == "PROCESSING_ERROR":
        return SocketRefusal(Outcome.STREAM_ERROR, said)
    return SocketRefusal(Outcome.API_ERROR, f"{shown(code, 40)}: {said}")
