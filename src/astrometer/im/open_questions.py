"""The questions that wait, and those that just ended -> whose a message of the bot is. Pure.

By quotation, else by nonce, else by who waits in that chat. Order is no evidence: AstrBot answers 40 messages
of one person in any order. A chat is one session of AstrBot and answers one question after the other, so a
question that got no reply leaves its chat owing one: a message without evidence is first taken for that.
"""

import math
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from astrometer.im.im_exchange import ImExchange
from astrometer.im.im_sentences import find_im_sentence, is_command_answer
from astrometer.im.im_turn import MatchedBy
from astrometer.im.onebot_actions import ChatPlace
from astrometer.im.reply_content import ReplyContent

REMEMBERED = 20_000
# AstrBot waits so long for an acknowledgement; a session that hangs goes on after it.
OWED_S = 180.0
_WORD = re.compile(r"[A-Za-z0-9_-]+")
_SEARCHED_CHARS = 20_000


class StrayKind(StrEnum):
    """A message that is nobody's open question's. Closed; values are labels."""

    LATE = "late"  # of a question that ended without a reply, or failed
    DUPLICATE = "duplicate"  # of a question that was answered before
    EXTRA = "extra"  # in a chat where a question was answered before; perhaps a late part
    MISROUTED = "misrouted"  # of a question in another chat that ended before
    UNASKED = "unasked"  # nobody asked anything there: a push, a plugin


class QuestionMatch(NamedTuple):
    """Whose a message is. `elsewhere`: it came into another chat than it belongs to."""

    exchange: ImExchange | None = None
    matched_by: MatchedBy | None = None
    elsewhere: bool = False
    stray: StrayKind | None = None


@dataclass(slots=True)
class _Ended:
    """A question that ended: as little as is needed to know its reply again."""

    message_id: int
    place: ChatPlace
    canary: str | None
    t: float
    owed: bool
    begun: bool  # its answer had begun: any number of messages may still be its rest


class OpenQuestions:
    """Every question of one link. Times are given. `quiet_s`: the longest pause within an answer."""

    def __init__(self, remembered: int = REMEMBERED, *, quiet_s: float = 0.0) -> None:
        self._remembered = remembered
        self._quiet_s = quiet_s
        self._by_place: dict[ChatPlace, list[ImExchange]] = {}
        self._by_id: dict[str, ImExchange] = {}
        self._by_canary: dict[str, ImExchange] = {}
        self._ended: deque[_Ended] = deque()
        self._ended_by_id: dict[str, _Ended] = {}
        self._ended_by_canary: dict[str, _Ended] = {}
        self._owed: dict[ChatPlace, deque[_Ended]] = {}
        self._last_of: dict[ChatPlace, _Ended] = {}
        self._failed_in: set[ChatPlace] = set()
        # When a message came to an ended question that had its sign: the rest of that answer has none.
        self._strays_with_sign: dict[ChatPlace, tuple[float, QuestionMatch]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[ImExchange]:
        return iter(tuple(self._by_id.values()))

    def get(self, message_id: int) -> ImExchange | None:
        """The question of that id, if it still waits."""
        return self._by_id.get(str(message_id))

    def waiting_in(self, place: ChatPlace) -> Sequence[ImExchange]:
        return self._by_place.get(place, ())

    def add(self, exchange: ImExchange) -> None:
        self._by_place.setdefault(exchange.place, []).append(exchange)
        self._by_id[str(exchange.message_id)] = exchange
        if exchange.question.canary:
            self._by_canary[exchange.question.canary] = exchange

    def end(self, exchange: ImExchange, t: float, *, owed: bool) -> None:
        """It is over; `owed`: without a reply that may still come."""
        if self._by_id.pop(str(exchange.message_id), None) is None:
            return
        waiting = self._by_place[exchange.place]
        waiting.remove(exchange)
        if not waiting:
            del self._by_place[exchange.place]
        canary = exchange.question.canary
        if canary and self._by_canary.get(canary) is exchange:
            del self._by_canary[canary]
        self._remember(_Ended(exchange.message_id, exchange.place, canary, t, owed, exchange.answered))

    def owes(self, place: ChatPlace, t: float) -> bool:
        """Whether a reply to an ended question may still come there. It is not expected for ever."""
        if (owed := self._owed.get(place)) is None:
            return False
        while owed and owed[0].t < t - OWED_S:
            owed.popleft()
        if owed:
            return True
        del self._owed[place]
        return False

    def note_failure(self, place: ChatPlace) -> None:
        """A question that ended there got an error and no sign: its answer may still come."""
        self._failed_in.add(place)

    def failed_in(self, place: ChatPlace) -> bool:
        """Whether a message there may be the answer to a question that failed."""
        return place in self._failed_in

    def find(self, place: ChatPlace, content: ReplyContent, t: float) -> QuestionMatch:
        """Whose the message is that came into the chat `place`."""
        found = self._by_quote(place, content) or self._by_nonce(place, content)
        if found is None:
            found = self._by_waiting(place, content, t)
        elif found.exchange is None:
            self._strays_with_sign[place] = t, found
        elif not found.elsewhere:
            self._owed.pop(place, None)  # one after the other: what was owed there does not come any more
            self._strays_with_sign.pop(place, None)
        return found

    def _by_quote(self, place: ChatPlace, content: ReplyContent) -> QuestionMatch | None:
        if content.quoted_id is None:
            return None
        exchange = self._by_id.get(content.quoted_id)
        if exchange is not None:
            elsewhere = exchange.place != place
            return QuestionMatch(exchange, MatchedBy.QUOTE, elsewhere)
        ended = self._ended_by_id.get(content.quoted_id)
        return None if ended is None else self._stray(ended, place)._replace(matched_by=MatchedBy.QUOTE)

    def _by_nonce(self, place: ChatPlace, content: ReplyContent) -> QuestionMatch | None:
        text = content.text
        if not text or not (self._by_canary or self._ended_by_canary):
            return None
        waiting = self._by_place.get(place, ())
        own = [e for e in waiting if e.question.canary and e.question.canary in text]
        if own:
            # An echo of the group's talk may hold more than one: the first without a reply has to be it.
            exchange = next((e for e in own if not e.answered), own[0])
            return QuestionMatch(exchange=exchange, matched_by=MatchedBy.NONCE)
        for word in _WORD.findall(text[:_SEARCHED_CHARS]):
            exchange_of_word = self._by_canary.get(word)
            if exchange_of_word is not None:
                return QuestionMatch(exchange=exchange_of_word, matched_by=MatchedBy.NONCE, elsewhere=True)
            ended = self._ended_by_canary.get(word)
            # An answer without a nonce of its own may well repeat what was said in this chat before.
            if ended is not None and (
                ended.owed or ended.place != place or all(e.question.canary for e in waiting)
            ):
                return self._stray(ended, place)
        return None

    def _by_waiting(self, place: ChatPlace, content: ReplyContent, t: float) -> QuestionMatch:
        waiting = self._by_place.get(place)
        command = next((e for e in waiting or () if e.question.is_command and not e.answered), None)
        if command is not None and is_command_answer(content.text):
            return QuestionMatch(exchange=command, matched_by=MatchedBy.OUTSTANDING)
        if (rest := self._rest_of_stray(place, content, t)) is not None:
            return rest
        if self.owes(place, t) and not (waiting and any(e.answered for e in waiting)):
            return self._stray(self._owed[place][0], place)
        if not waiting:
            if place not in self._last_of:
                return QuestionMatch(stray=StrayKind.UNASKED)
            return QuestionMatch(stray=StrayKind.LATE if place in self._failed_in else StrayKind.EXTRA)
        if len(waiting) == 1:
            return QuestionMatch(waiting[0], MatchedBy.OUTSTANDING)
        return self._among(waiting, content)

    def _rest_of_stray(self, place: ChatPlace, content: ReplyContent, t: float) -> QuestionMatch | None:
        """A further part of an answer that came too late: only the first part has a sign.

        Who waits there has an answer with a sign to come, unless it is an error.
        """
        t_before, stray = self._strays_with_sign.get(place, (-math.inf, None))
        if stray is None or t - t_before > self._quiet_s or find_im_sentence(content.text) is not None:
            return None
        waiting = self._by_place.get(place, ())
        if stray.matched_by is not MatchedBy.QUOTE and not all(e.question.canary for e in waiting):
            return None
        self._strays_with_sign[place] = t, stray
        return QuestionMatch(stray=StrayKind.EXTRA)

    def _among(self, waiting: list[ImExchange], content: ReplyContent) -> QuestionMatch:
        """Several wait in one chat, and the message has neither quotation nor nonce."""
        for exchange in waiting:
            if str(exchange.question.user_id) in content.mentions and not exchange.answered:
                return QuestionMatch(exchange=exchange, matched_by=MatchedBy.MENTION)
        answering = max((e for e in waiting if e.t_last is not None), key=_last_reply, default=None)
        unanswered = [e for e in waiting if not e.answered]
        evident = answering is not None and answering.matched_by in (MatchedBy.QUOTE, MatchedBy.NONCE)
        # Of such a server every answer has its evidence: without it, it is a further part of the last one.
        without_nonce = [e for e in unanswered if not e.question.canary]
        begins = find_im_sentence(content.text) is not None or (
            not (answering and answering.quoted) and bool(without_nonce)
        )
        if answering is not None and evident and not begins:
            by = answering.matched_by or MatchedBy.ORDER
            return QuestionMatch(exchange=answering, matched_by=by)
        if unanswered:
            return QuestionMatch(exchange=(without_nonce or unanswered)[0], matched_by=MatchedBy.ORDER)
        return QuestionMatch(exchange=answering or waiting[0], matched_by=MatchedBy.ORDER)

    def _stray(self, ended: _Ended, place: ChatPlace) -> QuestionMatch:
        if ended.place != place:
            return QuestionMatch(stray=StrayKind.MISROUTED)
        if not ended.owed:
            return QuestionMatch(stray=StrayKind.DUPLICATE)
        if ended.begun:
            return QuestionMatch(stray=StrayKind.LATE)
        ended.owed = False  # once; what quotes it again is a duplicate
        owed = self._owed.get(place)
        if owed is not None:
            # One after the other: what was owed before it does not come any more.
            while owed and owed.popleft() is not ended:
                pass
            if not owed:
                del self._owed[place]
        return QuestionMatch(stray=StrayKind.LATE)

    def _remember(self, ended: _Ended) -> None:
        if len(self._ended) >= self._remembered:
            self._forget(self._ended.popleft())
        self._ended.append(ended)
        self._ended_by_id[str(ended.message_id)] = ended
        self._last_of[ended.place] = ended
        if ended.canary:
            self._ended_by_canary[ended.canary] = ended
        if ended.owed:
            self._owed.setdefault(ended.place, deque()).append(ended)

    def _forget(self, ended: _Ended) -> None:
        self._ended_by_id.pop(str(ended.message_id), None)
        if ended.canary and self._ended_by_canary.get(ended.canary) is ended:
            del self._ended_by_canary[ended.canary]
        if self._last_of.get(ended.place) is ended:
            del self._last_of[ended.place]
            self._failed_in.discard(ended.place)
            self._strays_with_sign.pop(ended.place, None)
        owed = self._owed.get(ended.place)
        if owed and owed[0] is ended:
            owed.popleft()
            if not owed:
                del self._owed[ended.place]


def _last_reply(exchange: ImExchange) -> float:
    return exchange.t_last or 0.0
