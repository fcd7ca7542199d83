"""A fault plan -> which fault, if any, strikes this request. No sockets, no clock.

Faults of the server and of the network between; faults of the model behind it are directives of the prompt
(`script.py`). A fault is asked for in three ways: `[sim:cut:3]` in a prompt, a plan given at the start
(kind and rate), or `POST /sim/faults` while it runs.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from astrometer.targets.messenger.messenger_profile import MESSENGER

PROMPT_FAULT = re.compile(r"\[sim:([a-z_0-9]+)(?::(\d+(?:\.\d+)?))?\]")


class FaultKind(StrEnum):
    """The closed list. `value` of a fault: tokens before it strikes, or seconds for FREEZE."""

    HTTP_500 = "http_500"
    HTTP_503 = "http_503"
    HTTP_429 = "http_429"
    CUT = "cut"  # TCP reset in mid-stream
    HANGUP = "hangup"  # connection closed in mid-stream, without the last chunk
    TRUNCATED = "truncated"  # a clean end of the body in mid-answer
    NO_END = "no_end"  # everything but the `end` event
    NOT_SSE = "not_sse"  # 200 text/html
    MALFORMED = "malformed"  # an event that is no JSON
    STREAM_ERROR = "stream_error"  # an `error` event
    AGENT_ERROR = "agent_error"  # the sentence of an exception inside AstrBot
    FOLLOW_UP_CAPTURED = "follow_up_captured"  # swallowed by a running turn
    FREEZE = "freeze"  # the whole server answers nobody for `value` seconds
    BLOCKED = "blocked"  # the content filter's sentence
    SILENCE = (
        "silence"  # the stream opens and stays silent: no event, no heartbeat; in the messenger no answer
    )
    # In the messenger alone.
    ZOMBIE = "zombie"  # events go in, nothing comes out, until the client connects anew
    DUPLICATE = "duplicate"  # an answer comes twice
    SHUFFLED = "shuffled"  # an answer comes after that to a later question, at most `value` seconds late
    MISROUTED = (
        "misrouted"  # two answers go to each other's session; a lone one waits `value` seconds for another
    )
    PARTS = "parts"  # an answer comes in `value` messages
    LATE_ACK = "late_ack"  # an acknowledgement is heard `value` seconds late: the session waits
    LOST_LINK = "lost_link"  # the connection breaks when the model was asked
    ADAPTER_SHUTDOWN = "adapter_shutdown"  # the adapter closes (1000) for `value` seconds
    KILLED = "killed"  # the server is gone for `value` seconds: no close frame, answers under way are lost
    QUEUE_BUG = "queue_bug"  # 4.23 to 4.27.2: a share that grows with the people who ask at one time


ANY_REQUEST = frozenset({FaultKind.HTTP_500, FaultKind.HTTP_503, FaultKind.HTTP_429, FaultKind.FREEZE})
MESSENGER_ONLY = frozenset(
    {
        FaultKind.ZOMBIE,
        FaultKind.DUPLICATE,
        FaultKind.SHUFFLED,
        FaultKind.MISROUTED,
        FaultKind.PARTS,
        FaultKind.LATE_ACK,
        FaultKind.LOST_LINK,
        FaultKind.ADAPTER_SHUTDOWN,
        FaultKind.KILLED,
        FaultKind.QUEUE_BUG,
    }
)
IN_MESSENGER = MESSENGER_ONLY | {FaultKind.SILENCE, FaultKind.AGENT_ERROR, FaultKind.BLOCKED}
STATUS = {FaultKind.HTTP_500: 500, FaultKind.HTTP_503: 503, FaultKind.HTTP_429: 429}


class FaultError(ValueError):
    """A fault that cannot be planned; the text names the place and the cure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    kind: FaultKind
    value: float

    @property
    def after_tokens(self) -> int:
        return int(self.value)


@dataclass(slots=True, kw_only=True)
class Planned:
    """A fault that strikes a share of the requests (`rate`) or the next `count` of them."""

    kind: FaultKind
    rate: float = 0.0
    count: int = 0
    value: float = 3.0
    endpoint: str | None = (
        None  # of the endpoint table, or "messenger"; None: chats, or any for the HTTP kinds
    )
    struck: int = 0

    def applies_to(self, endpoint: str) -> bool:
        if self.endpoint not in (None, endpoint):
            return False
        if endpoint == MESSENGER:
            return self.kind in IN_MESSENGER
        if self.kind in MESSENGER_ONLY:
            return False
        return self.endpoint is not None or endpoint == "chat" or self.kind in ANY_REQUEST


@dataclass(slots=True)
class FaultPlan:
    """The faults of a running simulator. `chance` is seeded: the same requests meet the same faults."""

    planned: list[Planned] = field(default_factory=list)
    chance: Random = field(default_factory=lambda: Random(4))  # noqa: S311 (no secret)

    def add(self, planned: Planned) -> None:
        """Raises FaultError."""
        if not 0 <= planned.rate <= 1 or planned.count < 0 or planned.value < 0:
            raise FaultError(f"fault {planned.kind}: rate from 0 to 1, count and value from 0 expected")
        if (planned.rate > 0) == (planned.count > 0):
            raise FaultError(f"fault {planned.kind}: either a rate or a count is needed")
        self.planned.append(planned)

    def strike(self, endpoint: str, prompt: str = "", *, whole_request: bool) -> Fault | None:
        """The fault of this request. `whole_request`: one of the kinds that need no chat, or the others."""
        if asked := PROMPT_FAULT.search(prompt):
            kind = fault_kind(asked[1])
            of_messenger = kind in IN_MESSENGER if endpoint == MESSENGER else kind not in MESSENGER_ONLY
            if of_messenger and (kind in ANY_REQUEST) == whole_request:
                return Fault(kind=kind, value=float(asked[2] or 3))
        for planned in self.planned:
            if (planned.kind in ANY_REQUEST) != whole_request or not planned.applies_to(endpoint):
                continue
            if planned.count > planned.struck or self.chance.random() < planned.rate:
                planned.struck += 1
                return Fault(kind=planned.kind, value=planned.value)
        return None


def fault_kind(name: str) -> FaultKind:
    """Raises FaultError."""
    try:
        return FaultKind(name)
    except ValueError as exc:
        raise FaultError(f"fault: unknown kind {name!r} (known: {', '.join(FaultKind)})") from exc
