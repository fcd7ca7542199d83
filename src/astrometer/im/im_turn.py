"""What came of one question in a messenger: its outcome, its times, and how its reply was found."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from astrometer.api.metric_table import REPLY_METRICS
from astrometer.api.outcome import Outcome
from astrometer.api.sentences import AstrBotBug, find_bug
from astrometer.api.timings import Bounds
from astrometer.im.onebot_actions import ChatPlace
from astrometer.im.queue_wait import QueueWaitKnown

# `segmented_reply` waits 1.5 s and more before each part, realtime segmenting 1.5 s after each.
PART_PAUSE_S = 1.4

OPERATION = "im_chat"  # under which a load test counts questions


class MatchedBy(StrEnum):
    """How it is known that a reply belongs to a question; from sure to a guess."""

    QUOTE = "quote"
    NONCE = "nonce"
    MENTION = "mention"  # the only one in the group who asked and is addressed
    OUTSTANDING = "outstanding"  # nobody else in that chat waits
    ORDER = "order"  # several wait: the oldest that has none. A guess, as AstrBot keeps no order


PROVEN = (MatchedBy.QUOTE, MatchedBy.NONCE)
SURE = (*PROVEN, MatchedBy.MENTION, MatchedBy.OUTSTANDING)


_MATCHED_FACTS = {by: f"matched_by_{by}" for by in MatchedBy}
_QUEUE_FACTS = {known: f"queue_{known}" for known in QueueWaitKnown}


class ClosedBy(StrEnum):
    """Why nothing more was waited for."""

    QUIET = "quiet"
    QUOTE = "quote"
    DEADLINE = "deadline"
    LOSS = "loss"
    MISROUTED = "misrouted"
    ABORT = "abort"


class ImTurn(NamedTuple):  # not a frozen data class, which takes twice as long to make
    """One question. Times are `time.perf_counter` seconds; `detail` is for people, never a label.

    `t_first` and `t_last` are upper bounds of when those replies arrived, `*_since` the lower ones. `t_turn`:
    when its turn came in a chat where others waited, too; `queue_wait_known` None: it got no reply.
    """

    outcome: Outcome
    place: ChatPlace
    user_id: int
    message_id: int
    t_send: float
    t_intended: float
    t_close: float
    closed_by: ClosedBy
    scheduled: bool = False
    t_first: float | None = None
    t_first_since: float | None = None
    t_last: float | None = None
    t_last_since: float | None = None
    matched_by: MatchedBy | None = None
    text: str = ""
    messages: int = 0  # of the bot, that were this question's
    images: int = 0
    mentioned: bool = False
    quoted: bool = False
    forwarded: bool = False
    duplicates: int = 0
    foreign: int = 0  # replies to others that came into its chat meanwhile
    part_gaps_s: tuple[float, ...] = ()
    queue_wait_known: QueueWaitKnown | None = None
    t_turn: float | None = None
    t_turn_since: float = 0.0
    detail: str = ""

    @property
    def reply_first_s(self) -> float | None:
        """Send to the first message of the reply."""
        return None if self.t_first is None else self.t_first - self.t_send

    @property
    def reply_last_s(self) -> float | None:
        """Send to the last message of the reply: pauses between the parts of a split answer are inside."""
        return None if self.t_last is None else self.t_last - self.t_send

    @property
    def queue_wait_s(self) -> float | None:
        """Send to the last message to another question of its chat before its own first reply.

        None: nobody else waited there, or it is not known.
        """
        if self.queue_wait_known is not QueueWaitKnown.WAITED or self.t_turn is None:
            return None
        return self.t_turn - self.t_send

    @property
    def schedule_lag_s(self) -> float | None:
        return max(0.0, self.t_send - self.t_intended) if self.scheduled else None

    @property
    def expected(self) -> tuple[str, ...]:
        """The metrics that a question has when it goes well."""
        return REPLY_METRICS

    @property
    def facts(self) -> Mapping[str, int]:
        """What else is counted of it: how its reply was found, and what it was made of."""
        found = {"replies": 1, "messages": self.messages} if self.messages else {}
        for name in ("images", "duplicates", "foreign"):
            if count := getattr(self, name):
                found[name] = count
        if self.segmented:
            found["segmented"] = 1
            if pauses := [gap for gap in self.part_gaps_s if gap >= PART_PAUSE_S]:
                found |= {"paused": 1, "part_pause_ms": round(sum(pauses) * 1000)}
        if self.queue_wait_known is not None:
            found[_QUEUE_FACTS[self.queue_wait_known]] = 1
        if self.matched_by is not None:
            found[_MATCHED_FACTS[self.matched_by]] = 1
        return found

    def bounds(self) -> Mapping[str, tuple[Bounds, ...]]:
        """Of those samples that are not certain."""
        found: dict[str, tuple[Bounds, ...]] = {}
        known: dict[tuple[float, float], tuple[Bounds, ...]] = {}  # nearly always all four are the same
        for name, t, since in (
            ("reply_first", self.t_first, self.t_first_since),
            ("reply_last", self.t_last, self.t_last_since),
        ):
            if t is not None and since is not None and since < t:
                for metric, begun in ((name, self.t_send), (f"{name}_effective", self.t_intended)):
                    if (same := known.get((t, begun))) is None:
                        same = known[t, begun] = (Bounds(t - begun, max(0.0, since - begun), t - begun),)
                    found[metric] = same
        wait_s = self.queue_wait_s
        if wait_s is not None and self.t_turn is not None and self.t_turn_since < self.t_turn:
            least_s = max(0.0, self.t_turn_since - self.t_send)
            found["queue_wait"] = (Bounds(wait_s, least_s, wait_s),)
        return found

    @property
    def segmented(self) -> bool:
        """AstrBot sent one answer as several messages, with pauses of its own between them."""
        return self.messages > 1 and not self.duplicates

    @property
    def bug(self) -> AstrBotBug | None:
        """The known bug of AstrBot that made it fail."""
        return find_bug(self.text) if self.outcome is Outcome.AGENT_ERROR else None

    @property
    def echoed(self) -> bool:
        return self.outcome is Outcome.OK and self.matched_by is MatchedBy.NONCE

    def metrics(self) -> Mapping[str, tuple[float, ...]]:
        """Every duration that has a value."""
        if self.outcome is Outcome.DROPPED:
            return {}  # it never started
        found = {}
        if self.t_first is not None and self.t_last is not None:
            found["reply_first"] = (self.t_first - self.t_send,)
            found["reply_last"] = (self.t_last - self.t_send,)
            found["reply_first_effective"] = (self.t_first - self.t_intended,)
            found["reply_last_effective"] = (self.t_last - self.t_intended,)
        if (wait_s := self.queue_wait_s) is not None:
            found["queue_wait"] = (wait_s,)
        if (lag_s := self.schedule_lag_s) is not None:
            found["schedule_lag"] = (lag_s,)
        return found
