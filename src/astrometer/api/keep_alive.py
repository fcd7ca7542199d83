"""A kept connection that broke before any byte of the answer -> whether to ask again (RFC 9110, 9.2.2).

Client and server each may close an idle connection, and a request can cross that close (RFC 9112, 9.3.1):
it says nothing about the server's health, and browsers hide it by asking again.
"""

from astrometer.api.outcome import Outcome

MAX_IDLE_S = 4.0  # AstrBot's server closes after 5 s
# What a server promises is used up to this share: a request must get there in time.
SAFE_SHARE = 0.8
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
RACE = (
    "the server closed the kept connection as the request went out; not repeated, since it may have been read"
)


def may_repeat(method: str, *, unsent: bool) -> bool:
    """Asking again changes nothing on the server: it saw nothing of the request, or may see it twice."""
    return unsent or method in IDEMPOTENT


def outcome_of_closing(*, reused: bool) -> tuple[Outcome, str]:
    """What it is when nothing is repeated."""
    if reused:
        return Outcome.KEEPALIVE_RACE, RACE
    return Outcome.RESET, "closed before an answer"


def idle_limit_s(keep_alive: str) -> float:
    """How long a connection may be idle and still be used, by the header Keep-Alive ("timeout=5")."""
    for part in keep_alive.lower().split(","):
        name, _, value = part.strip().partition("=")
        if name.strip() == "timeout" and value.strip().isdecimal() and len(value) < 8:
            return min(MAX_IDLE_S, int(value) * SAFE_SHARE)
    return MAX_IDLE_S
