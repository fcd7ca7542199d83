"""States of a target, as they may be."""

from astrometer.config.notify_settings import Receiver, ReceiverKind
from astrometer.config.secret import Secret
from astrometer.probing.status.layer_evidence import StateLayer
from astrometer.probing.status.state_by_layer import LayerState, State, TargetState, TargetStatus

OK = dict.fromkeys(StateLayer, ("ok", "ok"))


def receiver(**more) -> Receiver:
    return Receiver(name="phone", kind=ReceiverKind.WEBHOOK, url=Secret("http://x"), **more)


def state_of(status: str, worst: str = "network", since: float = 0.0, **layers: str) -> TargetState:
    """`model="failing llm_error chat"`: that layer, by the probe `chat`; the others are ok."""
    told = OK | {StateLayer(name): tuple(said.split()) for name, said in layers.items()}
    made = tuple(
        LayerState(layer=layer, state=State(state), since=since, reason=reason, probes=tuple(probes))
        for layer, (state, reason, *probes) in told.items()
    )
    named = next(one for one in made if one.layer is StateLayer(worst))
    return TargetState(status=TargetStatus(status), worst=named, layers=made)


WELL = state_of("ok")
DOWN = state_of("down", network="failing connect")
