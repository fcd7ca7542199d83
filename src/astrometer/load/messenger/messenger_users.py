"""The people of a messenger: what a locustfile's users can write. Each call is one recorded exchange."""

from astrometer.im.im_turn import OPERATION, ImTurn
from astrometer.im.onebot_events import AtSegment, ImageSegment, TextSegment
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

    def write(self, text: str, *, images: int = 0) -> ImTurn:
        """To the bot alone. `images`: so many pictures that exist nowhere, besides."""
        return self._messenger.ask([TextSegment(text=text), *[ImageSegment(data=PIXEL)] * images])

    def write_in_group(self, text: str, *, at_bot: bool = False) -> ImTurn:
        """Where others write, too, and wait for each other. With the wake prefix, or with @bot."""
        group = (self.number - 1) // self.group_size
        if not at_bot:
            return self._messenger.ask([TextSegment(text=WAKE_PREFIX + text)], group)
        at = AtSegment(user_id=self.run_info.messenger.client.session.address.self_id)
        return self._messenger.ask([at, TextSegment(text=f" {text}")], group)

    def say(self, text: str, *, is_new: bool) -> ImTurn:
        """One turn of a conversation of `--workload`. When `is_new`, by somebody who never wrote before."""
        if is_new:
            self._messenger.write_as_stranger()
        return self.write(text)
