"""What a user says -> a question in the run's messenger, recorded; its turn when it is over."""

from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING

from astrometer.api.chat.messages import Message, MessageError, Plain
from astrometer.api.outcome import Outcome
from astrometer.im.im_exchange import ImExchange, ImQuestion
from astrometer.im.im_turn import OPERATION, ImTurn
from astrometer.im.onebot_actions import ChatPlace
from astrometer.im.onebot_events import EventSegment, TextSegment

if TYPE_CHECKING:
    from astrometer.load.users import AstrBotUser


def ask_in_messenger(
    user: "AstrBotUser",
    segments: Sequence[EventSegment],
    person: ChatPlace,
    group: ChatPlace | None,
    t_intended: float | None,
) -> ImTurn:
    """One question, and its whole reply. `t_intended` None: now."""
    recorder, client = user.run_info.recorder, user.run_info.messenger.client
    question = ImQuestion(
        user_id=person.user_id or user.number,
        segments=segments,
        group_id=None if group is None else group.group_id,
        nickname=f"user {user.number}",
    )
    t_s = recorder.began(user.scenario, OPERATION, t_intended)
    asked = client.begin(question, t_intended)
    try:
        client.wait_for(asked)
    finally:
        turn = asked.result()
        recorder.ended(user.scenario, OPERATION, t_s, "IM", turn, user=user.known_as)
    # Nobody waits to see whether more is to come: that is part of the pause before the next question.
    user.paused_s = 0.0 if turn.t_last is None else perf_counter() - turn.t_last
    return turn


def drop_question(user: "AstrBotUser", t_intended: float) -> None:
    """Count an arrival that could not start: too many were running."""
    recorder = user.run_info.recorder
    t_s = recorder.began(user.scenario, OPERATION, t_intended)
    question = ImQuestion.of_text(user.number, "dropped")
    exchange = ImExchange(question, message_id=0, t=t_intended, t_intended=t_intended)
    exchange.abort(t_intended, Outcome.DROPPED)
    recorder.ended(user.scenario, OPERATION, t_s, "arrival", exchange.result(), user=user.known_as)


def text_of(message: Message) -> TextSegment:
    """What can be said in every way. Raises MessageError."""
    if isinstance(message, str):
        return TextSegment(text=message)
    texts = [segment.text for segment in message if isinstance(segment, Plain)]
    if len(texts) < len(message):
        raise MessageError("--transport messenger: chats of quotations and uploads cannot be asked there")
    return TextSegment(text="\n".join(texts))
