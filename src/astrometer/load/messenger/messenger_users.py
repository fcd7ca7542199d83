"""The people of a messenger: what a locustfile's users can write. Each call is one recorded exchange."""

from astrometer.im.im_turn import OPERATION, ImTurn
from astrometer.im.onebot_events import AtSegment, EventSegment, ImageSegment, TextSegment
from astrometer.load.messenger.messenger_questions import ask_in_messenger, drop_question
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
    follows_workload = True
    _stranger: int | None = None  # whose conversation of `--workload` it is

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

    def say(self, text: str, *, is_new: bool) -> ImTurn:
        """One turn of a conversation of `--workload`. When `is_new`, by somebody who never wrote before."""
        if is_new:
            self._stranger = self.run_info.messenger.new_number()
        return self.write(text)

    def drop_arrival(self, t_intended: float) -> None:
        """Count an arrival that could not start: too many were running."""
        drop_question(self, t_intended)

    def _ask(self, segments: list[EventSegment], *, in_group: bool) -> ImTurn:
        t_intended = self._begin()
        self.run_info.messenger.client.link_up()  # no question waits for the messenger's own connection
        people = self.run_info.messenger
        person = people.person(self.number if self._stranger is None else self._stranger)
        group = people.group((self.number - 1) // self.group_size) if in_group else None
        return ask_in_messenger(self, segments, person, group, t_intended)


def _pictures(count: int) -> list[EventSegment]:
    return [ImageSegment(data=PIXEL) for _ in range(count)]
