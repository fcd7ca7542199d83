"""How a link ended, or was refused -> an outcome, and what to do about it."""

from dataclasses import dataclass

from astrometer.api.outcome import Outcome, classify_status
from astrometer.outside_text import shown

CURES = {
    400: "something between removes the header X-Self-ID or X-Client-Role, or this is the port of the "
    "dashboard and not ws_reverse_port",
    401: "it wants a token: set ASTRBOT_MESSENGER_TOKEN to the adapter's ws_reverse_token",
    403: "the token is not the adapter's ws_reverse_token (set ASTRBOT_MESSENGER_TOKEN), or this is the port "
    "of the dashboard and not ws_reverse_port",
    404: "path or port is wrong: use ws://HOST:PORT/ws with the adapter's ws_reverse_port",
    405: "the path is wrong: use ws://HOST:PORT/ws",
    426: "no WebSocket is served there: use ws://HOST:PORT/ws with the adapter's ws_reverse_port",
}
ABNORMAL = 1006  # a connection that ended without a close frame
SEND_S = 10.0  # a peer that takes nothing for so long is gone


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkEnd:
    """`code` is the WebSocket's close code, None when it never opened. `asked_for`: closed by this side."""

    outcome: Outcome
    t: float
    detail: str
    code: int | None = None
    status: int | None = None
    opened: bool = False
    asked_for: bool = False

    @property
    def is_final(self) -> bool:
        """Whether connecting again cannot help: the address or the token is wrong."""
        return self.outcome in (Outcome.UNAUTHORIZED, Outcome.FORBIDDEN, Outcome.CLIENT_ERROR)


def refused(t: float, status: int) -> LinkEnd:
    """The handshake was answered with an HTTP status that is not 101."""
    outcome = classify_status(status) or Outcome.MALFORMED
    cure = CURES.get(status, "see AstrBot's log" if status >= 500 else "use ws://HOST:PORT/ws")
    return LinkEnd(outcome=outcome, t=t, status=status, detail=f"HTTP {status}, no WebSocket: {cure}")


def nothing_taken(limit_s: float) -> str:
    """What is said of a link whose other side reads nothing any more."""
    return f"AstrBot took nothing of what was sent for {limit_s:g} s"


def closed_by_peer(t: float, code: int, reason: str) -> LinkEnd:
    """A close frame came."""
    words = f" ({shown(reason, 80)})" if reason else ""
    detail = f"AstrBot closed the link with {code}{words}"
    return LinkEnd(outcome=Outcome.LOST_LINK, t=t, code=code, opened=True, detail=detail)
