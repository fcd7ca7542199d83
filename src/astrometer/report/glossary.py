"""What each metric and each layer of a failure means, in a few words. Data, shown in the reports."""

from typing import NamedTuple

from astrometer.api.outcome import Layer, Outcome


class Meaning(NamedTuple):
    """How a metric is called on a page, and what it is."""

    title: str
    meaning: str


METRICS = {
    "accept_time": Meaning("accept", "send to first event: authentication and session, not the model"),
    "gate_wait": Meaning("gate wait", "rate limit and session queue in the server"),
    "ttft": Meaning("TTFT", "send to first model output, text or reasoning"),
    "ttft_text": Meaning("TTFT (text)", "send to first answer text"),
    "ttft_effective": Meaning("TTFT effective", "TTFT from the intended arrival"),
    "chunk_gap": Meaning("chunk gap", "between consecutive pieces of an answer, all pooled"),
    "max_gap": Meaning("longest gap", "the longest chunk gap of each answer"),
    "e2e": Meaning("e2e", "send to last model output"),
    "e2e_effective": Meaning("e2e effective", "e2e from the intended arrival"),
    "turn_time": Meaning("turn time", "send to the end event"),
    "tail": Meaning("tail", "last model output to the end event, such as saving the answer"),
    "tpot": Meaning("time per token", "after the first one, by the server's own count"),
    "server_ttft": Meaning("server TTFT", "the upstream's first token as the server reports it"),
    "overhead": Meaning("overhead", "TTFT minus server TTFT: what AstrBot and the network add"),
    "schedule_lag": Meaning("schedule lag", "the load generator's own lateness"),
    "duration": Meaning("duration", "a plain call, from send to its whole answer"),
    "duration_effective": Meaning("duration, effective", "the same from the intended time (open model)"),
    "upload_accept": Meaning("upload accept", "last byte of an upload's body to the head of the answer"),
    "upload_pace": Meaning("upload pace", "time per MB of an upload, first byte to answer; 1/throughput"),
    "delivery": Meaning("delivery", "an IM push, from send to its arrival in the messenger"),
}

LAYERS = {
    Layer.NONE: "",
    Layer.CLIENT: "this load generator",
    Layer.NETWORK: "network",
    Layer.AUTH: "key or scope",
    Layer.SERVER: "AstrBot",
    Layer.UPSTREAM: "model upstream",
    Layer.CONTENT: "content of the answer",
}


def metric(name: str) -> Meaning:
    """The words for a metric; an unknown one (of a later schema) speaks for itself."""
    return METRICS.get(name, Meaning(name, ""))


def layer(outcome: str) -> str:
    """Whose fault an outcome is in the first place."""
    try:
        return LAYERS[Outcome(outcome).layer]
    except ValueError:
        return "unknown"
