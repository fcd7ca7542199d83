"""A probe's reason -> whose failure it is, as the alert rules and the status page count it."""

from astrometer.api.outcome import Layer, Outcome
from astrometer.probing.verdict import ProbeReason, Reason

SERVER, LLM = SIDES = ("server", "llm")
_SIDE_OF_LAYER = {
    Layer.NETWORK: SERVER,
    Layer.SERVER: SERVER,
    Layer.MESSENGER: SERVER,
    Layer.UPSTREAM: LLM,
    Layer.CONTENT: LLM,
}
# A probe's requests are good ones: a 404 or a 405 says that the server changed, or what stands before it.
_SERVER_TO_A_PROBE = frozenset({Outcome.CLIENT_ERROR})
# The server did what was asked; what went wrong has alerts of its own.
_ANSWERED = frozenset({ProbeReason.CLEANUP, ProbeReason.LEAK})


def side_of(reason: Reason) -> str | None:
    """Whose failure it is: `server`, `llm`, or None."""
    if reason in _SERVER_TO_A_PROBE:
        return SERVER
    return _SIDE_OF_LAYER.get(reason.layer) if isinstance(reason, Outcome) else None


def is_judged(reason: Reason) -> bool:
    """Whether a run that ended so says anything of the server at all."""
    return reason is Outcome.OK or side_of(reason) is not None or reason in _ANSWERED
