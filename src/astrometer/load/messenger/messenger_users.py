"""The people of a messenger: what a locustfile's users can write. Each call is one recorded exchange."""

from time import perf_counter

from astrometer.api.outcome import Outcome
from astrometer.im.im_exchange import ImExchange, ImQuestion
from astrometer.im.im_turn import OPERATION, ImTurn
from astrometer.im.onebot_events import AtSegment, EventSegment, ImageSegment, TextSegment
from astrometer.load.transport.multipart import PIXEL
from astrometer.load.users import AstrBotUser

WAKE_PREFIX = "/"  # AstrBot's default: in a group it hears nothing else, but @bot


class MessengerUser(AstrBotUser):
    """Somebody who writes to the bot and waits for its answer: alone with it, or in a group.

    `group_size`: so many of them, by their numbers, are in one group.
    """

    abstract = True
    group_size = 10
    first_operation = OPERATION
    needs_messenger = True

    def write(self, text: str, *, images: int = 0) -> ImTurn:
        """To the bot alone. `images`: so many pictures that exist nowhere, besides."""
        return self._ask([TextSegment(text=text), *_pictures(images)], in_group=False)

    def write_in_group(self, text: str, *, at_bot: bool = False) -> ImTurn:
        """Where others write, too, and wait for each other. With the wake prefix, or with @bot."""
        client = self.run_info.messenger.client
        if at_bot:
            at = AtSegment(user_id=client.session.address.self_id)
            return self._ask([at, TextSegment(text=f" {text}")], in_group=True)
        return self._ask([TextSegment(text=WAKE_PREFIX + text)], in_group=True)

    def drop_arrival(self, t_intended: float) -> None:
        """Count an arrival that could not start: too many were running."""
        recorder = self.run_info.recorder
        t_s = recorder.began(self.scenario, OPERATION, t_intended)
        question = ImQuestion.of_text(self.number, "dropped")
        exchange = ImExchange(question, message_id=0, t=t_intended, t_intended=t_intended)
        exchange.abort(t_intended, Outcome.DROPPED)
        recorder.ended(self.scenario, OPERATION, t_s, "arrival", exchange.result())

    def _ask(self, segments: list[EventSegment], *, in_group: bool) -> ImTurn:
        t_intended = self._begin()
        recorder = self.run_info.recorder
        client = self.run_info.messenger.client
        client.link_up()  # before the clock runs: nobody who writes waits for a connection of the messenger's
        people = self.run_info.messenger
        person = people.person(self.number)
        group = people.group((self.number - 1) // self.group_size) if in_group else None
        question = ImQuestion(
            user_id=person.user_id or self.number,
            segments=segments,
            group_id=None if group is None else group.group_id,
            nickname=f"user {self.number}",
        )
        t_s = recorder.began(self.scenario, OPERATION, t_intended)
        asked = client.begin(question, t_intended)
        try:
            client.wait_for(asked)
        finally:
            turn = asked.result()
            recorder.ended(self.scenario, OPERATION, t_s, "IM", turn)
        # Nobody waits to see whether more is to come: that is part of the pause before the next question.
        self.paused_s = 0.0 if turn.t_last is None else perf_counter() - turn.t_last
        return turn


def _pictures(count: int) -> list[EventSegment]:
    return [ImageSegment(data=PIXEL) for _ in range(count)]
