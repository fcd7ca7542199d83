"""A record -> the parts of its time, one after the other. Pure."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple


class ExchangePhase(Enum):
    """What an exchange waited for. The values: a letter for a timeline, the words, and what it is."""

    LATE = "l", "late", "due, and not yet sent: the load generator"
    CONNECT = "c", "connect", "no connection yet"
    ACCEPT = "a", "accept", "sent, and no event yet: authentication, session"
    GATE = "g", "gate wait", "rate limit and session queue in AstrBot"
    OVERHEAD = "o", "overhead", "the first token, as far as it was not the model"
    MODEL = "m", "model", "the model's first token, as the server tells it"
    FIRST = "f", "first token", "the first token; the server does not tell the model's part"
    ANSWER = "=", "answer", "the rest of the answer"
    TAIL = "t", "tail", "answered, and no end event yet"
    BODY = "u", "upload", "the body of an upload"
    CALL = "w", "waiting", "the answer to a plain call"
    QUEUE = "q", "queue wait", "answers to others in the same chat"
    REPLY = "r", "reply", "the first message of a reply"
    PARTS = "p", "parts", "further messages of a reply"
    NO_END = "x", "no end", "what never came, until it was given up or broke off"

    @property
    def letter(self) -> str:
        return str(self.value[0])

    @property
    def words(self) -> str:
        return str(self.value[1])

    @property
    def meaning(self) -> str:
        return str(self.value[2])


class Part(NamedTuple):
    """How long one phase of an exchange took, in seconds."""

    phase: ExchangePhase
    length_s: float


def parts_of(row: Mapping[str, Any]) -> list[Part]:
    """In their order, from when it was due; only those that took time."""
    found: list[Part] = []
    late_s = row.get("schedule_lag_s", 0.0)
    if late_s > 0:
        found.append(Part(ExchangePhase.LATE, late_s))
    at_s = 0.0
    for phase, until_s in _ends(row):
        if until_s is not None and until_s > at_s:
            found.append(Part(phase, until_s - at_s))
            at_s = until_s
    return found


def _ends(row: Mapping[str, Any]) -> list[tuple[ExchangePhase, float | None]]:
    """Each phase with its end, in seconds since the send."""
    get = row.get
    over = (ExchangePhase.NO_END, None if row["outcome"] == "ok" else get("close_s"))
    if "duration_s" in row:
        duration_s, accept_s = row["duration_s"], get("upload_accept_s")
        body_s = None if accept_s is None else duration_s - accept_s
        return [(ExchangePhase.BODY, body_s), (ExchangePhase.CALL, duration_s)]
    if "closed_by" in row:
        return [
            (ExchangePhase.QUEUE, get("queue_wait_s")),
            (ExchangePhase.REPLY, get("reply_first_s")),
            (ExchangePhase.PARTS, get("reply_last_s")),
            over,
        ]
    accept_s, ttft_s, model_s = get("accept_time_s"), get("ttft_s"), get("server_ttft_s")
    gate_s = None if accept_s is None or "gate_wait_s" not in row else accept_s + row["gate_wait_s"]
    first = [(ExchangePhase.FIRST, ttft_s)]
    if ttft_s is not None and model_s is not None:
        first = [(ExchangePhase.OVERHEAD, ttft_s - model_s), (ExchangePhase.MODEL, ttft_s)]
    return [
        (ExchangePhase.CONNECT, get("connect_s")),
        (ExchangePhase.ACCEPT, accept_s),
        (ExchangePhase.GATE, gate_s),
        *first,
        (ExchangePhase.ANSWER, get("e2e_s")),
        (ExchangePhase.TAIL, get("turn_time_s")),
        over,
    ]
