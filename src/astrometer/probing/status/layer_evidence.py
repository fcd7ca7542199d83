"""One run -> what it says of each layer: good, degraded, bad, or nothing. No sockets, no clock.

A question passes the layers in order. Where it failed is bad, what it passed before is good, and nothing is
known of what comes after.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from astrometer.api.outcome import Layer, Outcome
from astrometer.im.im_sentences import IM_SENTENCES
from astrometer.probing.plan import Plan
from astrometer.probing.status.failure_sides import side_of
from astrometer.probing.verdict import ProbeReason, ProbeRun, Reason


class StateLayer(StrEnum):
    """What can be well or not by itself. Values are labels of metrics."""

    NETWORK = "network"
    ASTRBOT = "astrbot"
    KEY = "key"
    MODEL = "model"
    MESSENGER = "messenger"
    CONTENT = "content"

    @property
    def label(self) -> str:
        return "AstrBot" if self is StateLayer.ASTRBOT else self.value


class Sign(Enum):
    GOOD = auto()
    DEGRADED = auto()  # it works, and worse than it should
    BAD = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerEvidence:
    """What one run says of one layer. `reason` is `ok` or the run's own."""

    sign: Sign
    reason: str


_GOOD = LayerEvidence(sign=Sign.GOOD, reason=Outcome.OK.value)
_OVER_HTTP = (StateLayer.NETWORK, StateLayer.ASTRBOT, StateLayer.KEY, StateLayer.MODEL, StateLayer.CONTENT)
_IN_MESSENGER = (StateLayer.MESSENGER, StateLayer.ASTRBOT, StateLayer.MODEL, StateLayer.CONTENT)
_OF_MODEL = frozenset({StateLayer.MODEL, StateLayer.CONTENT})
# On our side: such a run says nothing of anybody else.
_OURS: frozenset[Reason] = frozenset(
    {ProbeReason.INTERNAL, *(one for one in Outcome if one.layer is Layer.CLIENT and side_of(one) is None)}
)
_DEADLINES = frozenset({Outcome.TIMEOUT_FIRST_TOKEN, Outcome.TIMEOUT_TOTAL, Outcome.STALLED})
# Whom any other outcome blames; of a layer that is not here, AstrBot.
_BLAMED = {
    Layer.NETWORK: StateLayer.NETWORK,
    Layer.AUTH: StateLayer.KEY,
    Layer.UPSTREAM: StateLayer.MODEL,
    Layer.MESSENGER: StateLayer.MESSENGER,
    Layer.CONTENT: StateLayer.CONTENT,
}
_TOLD_BY_REPLY = frozenset(Outcome(sentence.outcome) for sentence in IM_SENTENCES)
_UNREAD = frozenset({Outcome.ENCODED, Outcome.KEEPALIVE_RACE})  # no answer, and the server is not to blame
RETRANSMITS = "retransmits"


def covers(plan: Plan) -> frozenset[StateLayer]:
    """The layers that runs of `plan` are to tell of. Of a key only a run that used one tells."""
    if plan.missing is not None:
        return frozenset()
    if plan.probe.needs_messenger:
        return frozenset(_IN_MESSENGER)
    layers = {StateLayer.NETWORK, StateLayer.ASTRBOT}
    if plan.probe.costs_tokens:
        layers |= _OF_MODEL
    if plan.options.get("adapters"):
        layers.add(StateLayer.MESSENGER)
    return frozenset(layers)


# The layers that a probe of the config may find at fault, by target and probe.
Blamers = Mapping[tuple[str, str], frozenset[StateLayer]]


def blamers_of(plans: Iterable[Plan]) -> Blamers:
    """Only a probe that watches the messenger tells of it; the others are met on the way of any."""
    always = frozenset(StateLayer) - {StateLayer.MESSENGER, StateLayer.KEY}
    key = frozenset({StateLayer.KEY})
    return {
        plan.place: covers(plan) | always | (key if plan.target.keys else frozenset())
        for plan in plans
        if plan.missing is None
    }


def evidence_of(run: ProbeRun, plan: Plan) -> Mapping[StateLayer, LayerEvidence]:
    """Nothing of a run that did not apply, or failed on our side."""
    if run.verdict is None or run.verdict.reason in _OURS:
        return {}
    reason, covered = run.verdict.reason, covers(plan)
    where, sign = _at_fault(run, plan, reason)
    found = {layer: _GOOD for layer in _passed(plan, where, sign, reason) if _asked(run, layer)}
    if reason is Outcome.OK and StateLayer.MESSENGER in covered:
        found[StateLayer.MESSENGER] = _GOOD
    if where is not None:
        found[where] = LayerEvidence(sign=sign, reason=reason.value)
    if found.get(StateLayer.NETWORK) is _GOOD and any(run.tcp_retransmits.values()):
        found[StateLayer.NETWORK] = LayerEvidence(sign=Sign.DEGRADED, reason=RETRANSMITS)
    return found


def _passed(plan: Plan, where: StateLayer | None, sign: Sign, reason: Reason) -> Collection[StateLayer]:
    """The layers that the question passed."""
    path = _IN_MESSENGER if plan.probe.needs_messenger else _OVER_HTTP
    if reason in _UNREAD:
        return ()
    if where is None and reason in _DEADLINES:  # the server's or the model's fault: other probes tell
        return (StateLayer.NETWORK,)
    if where is None or where not in path or sign is not Sign.BAD or reason is ProbeReason.SLOW:
        return path  # to its end
    return path[: path.index(where)]


def _asked(run: ProbeRun, layer: StateLayer) -> bool:
    if layer is StateLayer.KEY:
        return run.used_key
    return layer not in _OF_MODEL or bool(run.turns or run.im_turns)


def _at_fault(run: ProbeRun, plan: Plan, reason: Reason) -> tuple[StateLayer | None, Sign]:
    """The layer that `reason` blames; None: nobody, or nobody can tell who."""
    if plan.probe.needs_messenger:
        return _at_fault_in_messenger(reason)
    if reason in (Outcome.OK, ProbeReason.CLEANUP):
        return None, Sign.GOOD
    if reason is ProbeReason.SLOW:
        return _slow(run)
    if reason is ProbeReason.LEAK:
        return StateLayer.KEY, Sign.BAD
    if reason in _UNREAD or reason is Outcome.BUFFERED:
        return StateLayer.NETWORK, Sign.DEGRADED
    if reason is Outcome.RESET:
        return (StateLayer.ASTRBOT if _got_a_byte(run) else StateLayer.NETWORK), Sign.BAD
    if reason in _DEADLINES:
        return _deadline(run)
    return _blamed(reason), Sign.BAD


def _blamed(reason: Reason) -> StateLayer:
    layer = reason.layer if isinstance(reason, Outcome) else Layer.SERVER
    return _BLAMED.get(layer, StateLayer.ASTRBOT)


def _at_fault_in_messenger(reason: Reason) -> tuple[StateLayer | None, Sign]:
    """What keeps a question from its reply is the messenger's, but for what the reply itself says."""
    if reason in (Outcome.OK, ProbeReason.CLEANUP):
        return None, Sign.GOOD
    if reason is ProbeReason.SLOW:
        return StateLayer.MESSENGER, Sign.DEGRADED
    is_of_reply = reason in _TOLD_BY_REPLY or _blamed(reason) in _OF_MODEL
    if is_of_reply and reason not in _DEADLINES:
        return _blamed(reason), Sign.BAD
    return StateLayer.MESSENGER, Sign.BAD


def _slow(run: ProbeRun) -> tuple[StateLayer, Sign]:
    """Whose time it was: the model's by the server's own first token, else AstrBot's."""
    times = run.turns[-1].timings if run.turns else None
    server_ttft_s = (times and times.server_ttft_s) or 0.0
    if times is not None and times.ttft_s is not None and server_ttft_s > times.ttft_s / 2:
        return StateLayer.MODEL, Sign.BAD
    return StateLayer.ASTRBOT, Sign.DEGRADED


def _deadline(run: ProbeRun) -> tuple[StateLayer | None, Sign]:
    """AstrBot's heartbeats show that it lives and waits for the model."""
    turn = run.turns[-1] if run.turns else None
    if turn is None or turn.timings.t_headers is None:
        return StateLayer.ASTRBOT, Sign.BAD
    return (StateLayer.MODEL, Sign.BAD) if turn.heartbeats else (None, Sign.GOOD)


def _got_a_byte(run: ProbeRun) -> bool:
    broken = [turn.status for turn in run.turns if turn.outcome is Outcome.RESET]
    broken += [call.status for call in run.calls if call.outcome is Outcome.RESET]
    return any(status is not None for status in broken)
