"""What a user says -> a question in the run's messenger, recorded; its turn when it is over."""

from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from astrometer.api.chat.messages import Message, MessageError, Plain
from astrometer.api.outcome import Outcome
from astrometer.im.im_exchange import ImExchange, ImQuestion
from astrometer.im.im_turn import OPERATION, ImTurn
from astrometer.im.onebot_events import EventSegment, TextSegment

if TYPE_CHECKING:
    from astrometer.load.run.run import Run


class MessengerWriter(Protocol):
    """A user, as far as its questions need it."""

    run_info: "Run"
    scenario: str
    number: int
    paused_s: float

    @property
    def known_as(self) -> str: ...

    def begin_exchange(self) -> float | None: ...


class MessengerQuestions:
    """Of one user: as whom it writes, and what it asks."""

    def __init__(self, user: MessengerWriter) -> None:
        self._user = user
        self._person = user.number
        self._session_id: str | None = None  # which that person has

    def write_as_stranger(self) -> None:
        """From now on: somebody who never wrote before."""
        self._person = self._user.run_info.messenger.new_number()

    def chat(self, message: Message, session_id: str | None) -> ImTurn:
        """One turn. A session is a person here, so in another one, or with None, a stranger writes."""
        segments = [text_of(message)]
        if session_id is None or session_id != self._session_id:
            self._session_id = session_id
            self.write_as_stranger()
        return self.ask(segments)

    def ask(self, segments: Sequence[EventSegment], group: int | None = None) -> ImTurn:
        """One question, and its whole reply. `group`: where it is written; None: to the bot alone."""
        user, messenger = self._user, self._user.run_info.messenger
        t_intended = user.begin_exchange()
        messenger.client.link_up()  # no question waits for the messenger's own connection
        question = ImQuestion(
            user_id=messenger.person(self._person).user_id or user.number,
            segments=segments,
            group_id=None if group is None else messenger.group(group).group_id,
            nickname=f"user {user.number}",
        )
        t_s = user.run_info.recorder.began(user.scenario, OPERATION, t_intended)
        asked = messenger.client.begin(question, t_intended)
        try:
            messenger.client.wait_for(asked)
        finally:
            turn = asked.result()
            self._ended(t_s, "IM", turn)
        # Nobody waits to see whether more is to come: that is part of the pause before the next question.
        user.paused_s = 0.0 if turn.t_last is None else perf_counter() - turn.t_last
        return turn

    def drop(self, t_intended: float) -> None:
        """Count an arrival that could not start: too many were running."""
        t_s = self._user.run_info.recorder.began(self._user.scenario, OPERATION, t_intended)
        question = ImQuestion.of_text(self._user.number, "dropped")
        exchange = ImExchange(question, message_id=0, t=t_intended, t_intended=t_intended)
        exchange.abort(t_intended, Outcome.DROPPED)
        self._ended(t_s, "arrival", exchange.result())

    def _ended(self, t_s: float, kind: str, turn: ImTurn) -> None:
        user = self._user
        user.run_info.recorder.ended(user.scenario, OPERATION, t_s, kind, turn, user=user.known_as)


def text_of(message: Message) -> TextSegment:
    """What can be said in every way. Raises MessageError."""
    if isinstance(message, str):
        return TextSegment(text=message)
    texts = [segment.text for segment in message if isinstance(segment, Plain)]
    if len(texts) < len(message):
        raise MessageError("--transport messenger: chats of quotations and uploads cannot be asked there")
    return TextSegment(text="\n".join(texts))
