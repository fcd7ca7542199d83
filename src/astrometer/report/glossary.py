"""What each metric and each layer of a failure means, in a few words. Data, shown in the reports."""

from typing import NamedTuple

from astrometer.api.metric_table import BY_NAME
from astrometer.api.outcome import Layer, Outcome


class Meaning(NamedTuple):
    """How a metric is called on a page, and what it is."""

    title: str
    meaning: str


LAYERS = {
    Layer.NONE: "",
    Layer.CLIENT: "this load generator",
    Layer.NETWORK: "network",
    Layer.AUTH: "key or scope",
    Layer.SERVER: "AstrBot",
    Layer.UPSTREAM: "model upstream",
    Layer.MESSENGER: "messenger",
    Layer.CONTENT: "content of the answer",
}


def metric(name: str) -> Meaning:
    """The words for a metric; an unknown one (of a later schema) speaks for itself."""
    known = BY_NAME.get(name)
    return Meaning(name, "") if known is None else Meaning(known.title, known.meaning)


def layer(outcome: str) -> str:
    """Whose fault an outcome is in the first place."""
    try:
        return LAYERS[Outcome(outcome).layer]
    except ValueError:
        return "unknown"
