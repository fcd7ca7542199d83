"""The exporter's reasons -> layers and sides, as matchers. Read off the code's tables, never typed."""

from collections.abc import Iterable

from astrometer.api.outcome import Layer, Outcome
from astrometer.probing.status.failure_sides import is_judged, side_of
from astrometer.probing.verdict import REASONS, Reason

# A reason that no exchange has is the probe's own.
PROBE_LAYER = "probe"
# What keeps a probe from asking in a messenger: nobody there, or the adapter does not let it in.
_LINK = frozenset({Outcome.LOST_LINK, Outcome.SERVER_ERROR, Outcome.CLIENT_ERROR})


def layer_of(reason: Reason) -> str:
    return reason.layer.value if isinstance(reason, Outcome) else PROBE_LAYER


def layers() -> dict[str, tuple[str, ...]]:
    """Every layer with its reasons, in the order of the code."""
    names: dict[str, list[str]] = {}
    for reason in REASONS:
        names.setdefault(layer_of(reason), []).append(reason.value)
    return {layer: tuple(reasons) for layer, reasons in names.items()}


def side(name: str) -> tuple[str, ...]:
    return tuple(reason.value for reason in REASONS if side_of(reason) == name)


def replies() -> tuple[str, ...]:
    """No reply in a messenger, or a wrong one, although the link is up."""
    return tuple(name for name in layers()[Layer.MESSENGER.value] if name != Outcome.LOST_LINK.value)


def link() -> tuple[str, ...]:
    """No link to a messenger, for a probe that asks in it."""
    layers_ = (Layer.NETWORK, Layer.AUTH)
    return tuple(
        reason.value
        for reason in REASONS
        if reason in _LINK or (isinstance(reason, Outcome) and reason.layer in layers_)
    )


def unjudged() -> tuple[str, ...]:
    return tuple(reason.value for reason in REASONS if not is_judged(reason))


def one_of(reasons: Iterable[str]) -> str:
    """A matcher on the label `reason`."""
    names = list(reasons)
    return f'reason="{names[0]}"' if len(names) == 1 else f'reason=~"{"|".join(names)}"'
