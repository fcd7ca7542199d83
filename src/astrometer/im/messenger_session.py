"""Many people of one messenger over one link: bytes in with times -> bytes out, and finished questions.

The shell around it owns the socket: it writes what `outgoing` gives, feeds what it reads, and calls `expire`
when `deadline` has passed, after it has read what was there. Each action of AstrBot is answered at once. No
event is ever sent twice: AstrBot would ask the model twice.
"""

import heapq
import math
from collections import Counter
from typing import Any

from astrometer.api.outcome import Outcome
from astrometer.im.im_exchange import IM_DEADLINES, ImDeadlines, ImExchange, ImQuestion
from astrometer.im.im_turn import PROVEN, SURE, ClosedBy, ImTurn, MatchedBy
from astrometer.im.link.link_address import LinkAddress
from astrometer.im.link.link_end import LinkEnd
from astrometer.im.link.onebot_link import InFrame, LinkState, OneBotLink, Since
from astrometer.im.link.reconnect import RECONNECT, Reconnect, ReconnectLimits
from astrometer.im.onebot_actions import (
    ChatPlace,
    LookUpAction,
    OneBotAction,
    RefusedAction,
    RefusedFor,
    SendAction,
    answer,
    message_sent,
    oversized_action,
    parse_action,
    refusal,
)
from astrometer.im.onebot_events import frame, lifecycle_event
from astrometer.im.open_questions import OpenQuestions, StrayKind
from astrometer.im.reply_content import ReplyContent
from astrometer.wire.websocket_client import MOST_CHARS

# The rest of an answer may come after these, although it has begun.
_MAY_STILL_COME = frozenset({Outcome.TIMEOUT_TOTAL, Outcome.LOST_LINK})
_WITHOUT_LINK = "asked while the link to AstrBot was down; nothing was sent"


class ImAskError(ValueError):
    """A question whose reply could not be told from another's; the text says what to do."""


class MessengerSession:
    """One messenger account. `quotes`: the server is known to have `reply_with_quote` on.

    `first_message_id` must lie above every id that this account used before: AstrBot may still answer, and
    quote, a question of the run before.
    """

    def __init__(
        self,
        address: LinkAddress,
        *,
        first_message_id: int,
        deadlines: ImDeadlines = IM_DEADLINES,
        quotes: bool = False,
        takes_pushes: bool = True,
        wall_minus_perf_s: float = 0.0,
        most_chars: int = MOST_CHARS,
        reconnect: ReconnectLimits = RECONNECT,
    ) -> None:
        self.address = address
        self.link: OneBotLink | None = None
        self.refused: Counter[RefusedFor] = Counter()
        self.strays: Counter[StrayKind] = Counter()
        self.actions: Counter[str] = Counter()
        self.links_lost = 0
        self._deadlines = deadlines
        self._quotes = quotes
        self._takes_pushes = takes_pushes
        self._wall_minus_perf_s = wall_minus_perf_s
        self._next_id = first_message_id
        self._sent_id = 0  # of what the bot says: an id of its own for each message
        self._most_chars = most_chars
        self._reconnect = Reconnect(reconnect)
        self._open = OpenQuestions(quiet_s=deadlines.quiet_s)
        self._places: set[ChatPlace] = set()
        self._due: list[tuple[float, int]] = []  # when, and the id of the question
        self._finished: list[ImTurn] = []
        self._link_by: float | None = None  # when a handshake, or a close, has taken too long

    # the link

    @property
    def is_open(self) -> bool:
        return self.link is not None and self.link.state is LinkState.OPEN

    @property
    def end(self) -> LinkEnd | None:
        """How the last link ended; None while there is one."""
        return None if self.link is None else self.link.end

    def connect(self, t: float) -> None:
        """Begin a link; its handshake is among what goes out.

        Raises RuntimeError while another link of this id may live: AstrBot would answer neither.
        """
        if self.link is not None and self.link.state is not LinkState.OVER:
            raise RuntimeError("a second link with one id: close the first one, and wait until it is over")
        if not self.may_connect(t):
            raise RuntimeError("AstrBot may not know yet that the last link ended: wait for `may_connect`")
        self._link_by = t + self._reconnect.limits.handshake_s
        self.link = OneBotLink(self.address, most_chars=self._most_chars)
        self.link.open()

    def may_connect(self, t: float) -> bool:
        """Whether the last link is over, and has been for long enough."""
        if self.link is not None and self.link.state is not LinkState.OVER:
            return False
        earliest = self._reconnect.earliest_t()
        return earliest is None or t >= earliest

    def reconnect_t(self) -> float | None:
        """When to call `connect` again; None while linked, after `close`, and where it would be in vain."""
        if self.link is not None and self.link.state is not LinkState.OVER:
            return None
        return self._reconnect.next_t()

    def close(self, t: float) -> None:
        """Leave. Read on until the link is over, which it is after a while in any case."""
        if self.link is None or self.link.state is LinkState.OVER:
            return
        before = self.link.state
        self._link_by = t + self._reconnect.limits.close_s
        self.link.close(t)
        self._note_end(t, before)

    def outgoing(self) -> bytes:
        """What the socket is to send now."""
        return b"" if self.link is None else self.link.take()

    # what happens

    def feed(self, t: float, data: bytes, since: Since = None, *, is_whole: bool = True) -> None:
        """Bytes that were read: the last came at `t`, and none before `since`.

        `is_whole` False: at `t` came something else, after them.
        """
        link = self.link
        if link is None:
            return
        before = link.state
        frames = link.feed(t, data, since, is_whole=is_whole)
        if before is LinkState.CONNECTING and link.t_opened is not None:
            self._link_by = None
            self._reconnect.opened()
            link.send(frame(lifecycle_event(self.address.self_id, t + self._wall_minus_perf_s)))
        for received in frames:
            self._frame(received)
        self._note_end(t, before)

    def eof(self, t: float) -> None:
        """The connection was closed."""
        self._ended_by(t, None, "")

    def lost(self, t: float, outcome: Outcome, detail: str = "") -> None:
        """The connection could not be made, or broke."""
        self._ended_by(t, outcome, detail)

    def ask(
        self,
        t: float,
        question: ImQuestion,
        t_intended: float | None = None,
        deadlines: ImDeadlines | None = None,
    ) -> ImExchange:
        """Somebody writes: the event is among what goes out. `deadlines`: of this question alone.

        Raises EventError and ImAskError. Without a link the exchange is over at once, as `lost_link`.
        """
        place = question.place
        provable = self._quotes or question.is_command or question.canary is not None
        if not provable and self._open.owes(place, t):
            raise ImAskError(
                "a late reply may still come there: ask as somebody else, or with a nonce, "
                "or set reply_with_quote"
            )
        message_id = self._next_id
        wall_s = t + self._wall_minus_perf_s
        text = question.event(self_id=self.address.self_id, message_id=message_id, wall_s=wall_s)
        self._next_id += 1
        exchange = ImExchange(
            question,
            message_id=message_id,
            t=t,
            deadlines=deadlines or self._deadlines,
            t_intended=t_intended,
        )
        if self.link is None or not self.link.send(text):
            exchange.lost(t, Outcome.LOST_LINK, _WITHOUT_LINK)
            self._finished.append(exchange.result())
            return exchange
        self._places.add(place)
        if waiting := self._open.waiting_in(place):
            exchange.queue.ahead.update(e.message_id for e in waiting if not e.answered)
        self._open.add(exchange)
        self._wait_for(exchange)
        return exchange

    def owes(self, place: ChatPlace, t: float) -> bool:
        """Whether a late reply may still come there: a question needs a nonce, or another person."""
        return self._open.owes(place, t)

    def may_mistake(self, place: ChatPlace) -> bool:
        """Whether a message to an earlier question may be taken for the answer to the next one, however late.

        It was given up, or failed without a quotation or a nonce: AstrBot may send an answer after an error.
        """
        return self._open.owes(place, -math.inf) or self._open.failed_in(place)

    def deadline(self) -> float | None:
        """When `expire` is due; it may find nothing to do."""
        while self._due and self._open.get(self._due[0][1]) is None:
            heapq.heappop(self._due)  # that question is over
        due = self._due[0][0] if self._due else None
        if self._link_by is None:
            return due
        return self._link_by if due is None else min(due, self._link_by)

    def expire(self, t: float) -> None:
        """Close what has waited long enough. Call it after everything was fed that came before `t`."""
        if self._link_by is not None and self._link_by <= t:
            self.lost(t, Outcome.TIMEOUT_CONNECT, "no answer to the handshake")
        while self._due and self._due[0][0] <= t:
            exchange = self._open.get(heapq.heappop(self._due)[1])
            if exchange is None:
                continue
            if exchange.deadline() > t:  # a reply moved it
                self._wait_for(exchange)
                continue
            exchange.expire(t)
            self._end(exchange, t)

    def give_up(self, exchange: ImExchange, t: float, outcome: Outcome) -> None:
        """Whoever asked waits no longer."""
        if not exchange.done:
            exchange.abort(t, outcome)
            self._end(exchange, t)

    def abort(self, t: float, outcome: Outcome) -> None:
        """The run ends: nothing is waited for any more. `cutoff` or `client_cancel`."""
        for exchange in self._open:
            exchange.abort(t, outcome)
            self._end(exchange, t)

    def finished(self) -> list[ImTurn]:
        """The questions that ended since the last call, each once."""
        found, self._finished = self._finished, []
        return found

    @property
    def outstanding(self) -> int:
        return len(self._open)

    # inside

    def _ended_by(self, t: float, outcome: Outcome | None, detail: str) -> None:
        if self.link is None:
            return
        before = self.link.state
        if outcome is None:
            self.link.eof(t)
        else:
            self.link.lost(t, outcome, detail)
        self._note_end(t, before)

    def _note_end(self, t: float, before: LinkState) -> None:
        link = self.link
        if link is None or link.end is None or before is LinkState.OVER:
            return
        self._link_by = None
        self._reconnect.ended(link.end)
        self.links_lost += link.end.opened and not link.end.asked_for
        for exchange in self._open:
            exchange.lost(t, Outcome.LOST_LINK, link.end.detail)
            self._end(exchange, t)

    def _frame(self, received: InFrame) -> None:
        if received.oversized:
            action: OneBotAction = oversized_action(received.text, received.tail, self._most_chars)
        else:
            action = parse_action(received.text)
        match action:
            case SendAction():
                self.actions[action.action] += 1
                self._bot_wrote(received, action)
            case LookUpAction():
                self.actions[action.action] += 1
                self._send(frame(answer(action.echo, self._card(action))))
            case RefusedAction():
                self._refuse(action)
                if action.reason is RefusedFor.OVERSIZED and action.place is not None:
                    self._reply(received, action.place, ReplyContent(oversized=True))

    def _bot_wrote(self, received: InFrame, action: SendAction) -> None:
        if not self._takes_pushes and action.place not in self._places:
            detail = "no such user or group"
            self._refuse(RefusedAction(reason=RefusedFor.UNKNOWN_CHAT, detail=detail, echo=action.echo))
            return
        self._sent_id += 1
        # The bot's own messages must not have ids of questions: a quotation of one would be taken for it.
        self._send(message_sent(action.echo, -self._sent_id))
        self._reply(received, action.place, action.content)

    def _reply(self, received: InFrame, place: ChatPlace, content: ReplyContent) -> None:
        t = received.t
        found = self._open.find(place, content, t)
        exchange = found.exchange
        if exchange is None:
            kind = found.stray or StrayKind.UNASKED
            if kind is StrayKind.MISROUTED:
                self._mark_foreign(place)
            self.strays[kind] += 1
        elif found.elsewhere:
            self._mark_foreign(place)
            where = "a group" if place.group_id is not None else "a private chat"
            exchange.answered_elsewhere(t, f"its answer came into {where} of somebody else")
            self._end(exchange, t)
        else:
            self._tell_the_others(exchange, received, found.matched_by)
            exchange.reply(t, received.since, content, found.matched_by or MatchedBy.OUTSTANDING)
            if exchange.done:
                self._end(exchange, t)
            else:
                self._wait_for(exchange)

    def _tell_the_others(self, exchange: ImExchange, received: InFrame, by: MatchedBy | None) -> None:
        """Who waits in the same chat hears whose turn it is."""
        waiting = self._open.waiting_in(exchange.place)
        if len(waiting) < 2:
            return
        sure = by in SURE
        for other in waiting:
            if other is exchange:
                continue
            if not other.answered:
                other.other_reply(exchange.message_id, received.t, received.since, sure=sure)
            elif exchange.answered and (other.t_last or 0.0) > (exchange.t_last or 0.0):
                other.answers_overlap()  # its reply came between two parts of this one
                exchange.answers_overlap()

    def _mark_foreign(self, place: ChatPlace) -> None:
        for waiting in self._open.waiting_in(place):
            waiting.foreign_reply()

    def _refuse(self, action: RefusedAction) -> None:
        self.refused[action.reason] += 1
        body = refusal(action)
        if body is not None:
            self._send(frame(body))

    def _send(self, text: str) -> None:
        if self.link is not None:
            self.link.send(text)

    def _card(self, action: LookUpAction) -> dict[str, Any]:
        """Enough that AstrBot asks no second time: without a card it would."""
        name = "bot" if action.user_id == self.address.self_id else str(action.user_id)
        person: dict[str, Any] = {"user_id": action.user_id, "nickname": name, "sex": "unknown", "age": 0}
        if action.group_id is None:
            return person
        return {**person, "group_id": action.group_id, "card": name, "role": "member"}

    def _wait_for(self, exchange: ImExchange) -> None:
        heapq.heappush(self._due, (exchange.deadline(), exchange.message_id))

    def _end(self, exchange: ImExchange, t: float) -> None:
        turn = exchange.result()
        # One that got only somebody else's answer may still get its own.
        owed = turn.outcome in _MAY_STILL_COME or (
            not exchange.answered and turn.closed_by is not ClosedBy.MISROUTED
        )
        self._open.end(exchange, t, owed=owed)
        if exchange.answered and not turn.outcome.is_ok and turn.matched_by not in PROVEN:
            self._open.note_failure(exchange.place)
        self._finished.append(turn)
