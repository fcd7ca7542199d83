"""The other questions of a chat -> how long one question waited there for its turn. Pure.

AstrBot answers one chat (a session, of all members of a group) one after the other. So a question waits until
the last message that came to another one before its own first reply.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class QueueWaitKnown(StrEnum):
    """Whether the wait of a question is known. Values are names in results."""

    ALONE = "alone"  # nobody else waited in its chat: there was no queue
    WAITED = "waited"
    UNKNOWN = "not_told"


@dataclass(slots=True)
class QueueWait:
    """Of one question. `ahead`: ids of the questions of its chat that had no reply when it was sent."""

    ahead: set[int] = field(default_factory=set)
    t_turn: float | None = None  # the last message to another one before its own first reply
    t_turn_since: float = 0.0
    is_guess: bool = False  # it is not certain whose a message was, or the chat has no queue

    def answered_other(self, message_id: int, t: float, since: float, *, sure: bool) -> None:
        """A message to another question came into the chat, and none to this one yet."""
        self.ahead.discard(message_id)
        self.t_turn, self.t_turn_since = t, since
        self.is_guess = self.is_guess or not sure

    def known(self, *, sure: bool) -> QueueWaitKnown:
        """At the first reply to this question."""
        if self.ahead or (self.t_turn is not None and (self.is_guess or not sure)):
            return QueueWaitKnown.UNKNOWN
        return QueueWaitKnown.ALONE if self.t_turn is None else QueueWaitKnown.WAITED
