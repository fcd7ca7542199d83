"""One question in a messenger, sans-IO: sent, replies with their times, deadlines -> one `ImTurn`.

Nothing says that an answer is complete: it is when no further message came for `quiet_s`. A reply that quotes
its question may end it sooner (`quoted_quiet_s`), on a server that does not split answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from astrometer.api.outcome import Outcome
from astrometer.im.im_outcome import ReplyFacts, classify_replies, count_duplicates, explain_replies
from astrometer.im.im_turn import PROVEN, SURE, ClosedBy, ImTurn, MatchedBy
from astrometer.im.onebot_actions import ChatPlace
from astrometer.im.onebot_events import EventSegment, TextSegment, message_event
from astrometer.im.queue_wait import QueueWait, QueueWaitKnown
from astrometer.im.reply_content import ReplyContent
from astrometer.outside_text import shown

# A bot that talks without end would fill the memory; the rest is counted, not kept.
MAX_MESSAGES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ImDeadlines:
    """How long a question may take, in seconds. AstrBot's own pauses between parts are up to 3.5 s."""

    reply_s: float = 60.0  # send to first message
    total_s: float = 300.0  # send to last message
    quiet_s: float = 4.0
    quoted_quiet_s: float | None = None  # after a reply that quotes the question; None: as any other


IM_DEADLINES = ImDeadlines()


class ImQuestion(NamedTuple):
    """What somebody asks, and where. `canary` must come back in the answer."""

    user_id: int
    segments: Sequence[EventSegment]
    group_id: int | None = None
    nickname: str = ""
    canary: str | None = None
    is_command: bool = False

    @classmethod
    def of_text(
        cls, user_id: int, text: str, *, group_id: int | None = None, canary: str | None = None
    ) -> "ImQuestion":
        return cls(user_id=user_id, segments=(TextSegment(text=text),), group_id=group_id, canary=canary)

    @property
    def place(self) -> ChatPlace:
        if self.group_id is not None:
            return ChatPlace(group_id=self.group_id)
        return ChatPlace(user_id=self.user_id)

    def event(self, *, self_id: int, message_id: int, wall_s: float = 0.0) -> str:
        """The frame of it. Raises EventError."""
        return message_event(
            self.segments,
            self_id=self_id,
            user_id=self.user_id,
            message_id=message_id,
            group_id=self.group_id,
            nickname=self.nickname,
            wall_s=wall_s,
        )


class ImExchange:
    """A question in flight. Times are absolute `time.perf_counter` seconds."""

    def __init__(
        self,
        question: ImQuestion,
        *,
        message_id: int,
        t: float,
        deadlines: ImDeadlines = IM_DEADLINES,
        t_intended: float | None = None,
    ) -> None:
        self.question = question
        self.place = question.place
        self.message_id = message_id
        self.t_send = t
        self.matched_by: MatchedBy | None = None
        self.t_last: float | None = None
        self._id = str(message_id)
        self._deadlines = deadlines
        self._t_intended = t_intended
        self._replies: list[ReplyContent] = []
        self._messages = self._images = 0
        self._t_first: tuple[float, float] | None = None
        self._t_last_since = 0.0
        self._gaps: list[float] = []
        self._foreign = 0
        self._quoted = self._mentioned = self._forwarded = False
        self.queue = QueueWait()
        self._wait_known: QueueWaitKnown | None = None
        self._turn: ImTurn | None = None

    def reply(self, t: float, since: float, content: ReplyContent, matched_by: MatchedBy) -> None:
        """A message that is this question's; it arrived after `since` and at `t` at the latest."""
        if self._turn is not None:
            return
        if t > self.t_send + self._deadlines.total_s and since > self.t_send + self._deadlines.total_s:
            self._finish(t, ClosedBy.DEADLINE, Outcome.TIMEOUT_TOTAL, f"after {t - self.t_send:.1f} s")
            return
        if self.t_last is None:
            self._t_first = (t, since)
            self.matched_by = matched_by
            self._wait_known = self.queue.known(sure=matched_by in SURE)
        else:
            self._gaps.append(t - self.t_last)
        self.t_last, self._t_last_since = t, since
        self._messages += 1
        self._quoted = self._quoted or content.quoted_id == self._id
        if len(self._replies) < MAX_MESSAGES:
            self._replies.append(content)
            self._images += content.images
            self._forwarded = self._forwarded or content.forwarded
            if content.mentions:
                self._mentioned = self._mentioned or str(self.question.user_id) in content.mentions
        if self._quoted and self._quiet_s() <= 0:
            self._close(t, ClosedBy.QUOTE)

    def other_reply(self, message_id: int, t: float, since: float, *, sure: bool) -> None:
        """A message to another question came into the same chat."""
        if not self.answered:
            self.queue.answered_other(message_id, t, since, sure=sure)

    def answers_overlap(self) -> None:
        """The chat answers several questions at once: there is no queue in which this one waited."""
        if self._wait_known is QueueWaitKnown.WAITED:
            self._wait_known = QueueWaitKnown.UNKNOWN

    def foreign_reply(self) -> None:
        """A reply to somebody else came into this chat."""
        self._foreign += 1

    def answered_elsewhere(self, t: float, detail: str) -> None:
        """The answer to this question came into another chat."""
        self._finish(t, ClosedBy.MISROUTED, Outcome.MISROUTED, detail)

    def lost(self, t: float, outcome: Outcome, detail: str = "") -> None:
        """The link broke, and what was to come is lost: only a reply that proves itself whole counts."""
        if self._closes_by_quote or self._has_canary:
            self._close(t, ClosedBy.LOSS)
        else:
            self._finish(t, ClosedBy.LOSS, outcome, detail)

    def abort(self, t: float, outcome: Outcome) -> None:
        """The asker gives up by itself: `cutoff` or `client_cancel`. A reply that is there is judged."""
        if self.answered:
            self._close(t, ClosedBy.ABORT)
        else:
            self._finish(t, ClosedBy.ABORT, outcome, "")

    def expire(self, t: float) -> None:
        """The deadline passed: no (further) message came."""
        if self.t_last is None:
            self._close(t, ClosedBy.DEADLINE)
        else:
            self._close(t, ClosedBy.QUOTE if self._closes_by_quote else ClosedBy.QUIET)

    def deadline(self) -> float:
        """When to call `expire`, if nothing comes until then."""
        if self.t_last is None:
            return self.t_send + self._deadlines.reply_s
        return self.t_last + self._quiet_s()

    @property
    def done(self) -> bool:
        return self._turn is not None

    @property
    def answered(self) -> bool:
        """A reply came; more of it may follow."""
        return self._messages > 0

    @property
    def quoted(self) -> bool:
        return self._quoted

    def result(self) -> ImTurn:
        """Return the finished turn. Raises RuntimeError while it is in flight."""
        if self._turn is None:
            raise RuntimeError("the exchange is not finished")
        return self._turn

    @property
    def _closes_by_quote(self) -> bool:
        return self._quoted and self._deadlines.quoted_quiet_s is not None

    @property
    def _has_canary(self) -> bool:
        canary = self.question.canary
        return canary is not None and any(canary in reply.text for reply in self._replies)

    def _quiet_s(self) -> float:
        limits = self._deadlines
        if limits.quoted_quiet_s is not None and self._quoted:
            return limits.quoted_quiet_s
        return limits.quiet_s

    def _facts(self, t: float) -> ReplyFacts:
        return ReplyFacts(
            replies=tuple(self._replies),
            question_id=self._id,
            canary=self.question.canary,
            is_command=self.question.is_command,
            sure=self.matched_by in PROVEN,
            foreign=self._foreign,
            waited_s=t - self.t_send,
        )

    def _close(self, t: float, closed_by: ClosedBy) -> None:
        facts = self._facts(t)
        outcome = classify_replies(facts)
        self._finish(t, closed_by, outcome, explain_replies(facts, outcome), facts)

    def _finish(
        self, t: float, closed_by: ClosedBy, outcome: Outcome, detail: str, seen: ReplyFacts | None = None
    ) -> None:
        if self._turn is not None:
            return
        facts = self._facts(t) if seen is None else seen
        self._turn = ImTurn(
            outcome=outcome,
            place=self.place,
            user_id=self.question.user_id,
            message_id=self.message_id,
            t_send=self.t_send,
            t_intended=self.t_send if self._t_intended is None else self._t_intended,
            scheduled=self._t_intended is not None,
            t_close=t,
            closed_by=closed_by,
            t_first=None if self._t_first is None else self._t_first[0],
            t_first_since=None if self._t_first is None else self._t_first[1],
            t_last=self.t_last,
            t_last_since=None if self.t_last is None else self._t_last_since,
            matched_by=self.matched_by,
            text=facts.text,
            messages=self._messages,
            images=self._images,
            mentioned=self._mentioned,
            quoted=self._quoted,
            forwarded=self._forwarded,
            duplicates=count_duplicates(facts),
            foreign=self._foreign,
            part_gaps_s=tuple(self._gaps),
            queue_wait_known=self._wait_known,
            t_turn=self.queue.t_turn,
            t_turn_since=self.queue.t_turn_since,
            detail=shown(detail),
        )
