"""A day in the life of a server: chats, files, messages and look-ups at the same time.

    ASTRBOT_API_KEY=... locust -f locustfiles/mixed.py --host http://127.0.0.1:6185 --chat-weight 6

Needs a key with all four scopes. The weights say how many of the users do what; 0 leaves one out. With a
messenger (--messenger ws://HOST:PORT/ws, its token in ASTRBOT_MESSENGER_TOKEN) some write to the bot there;
without one nobody does.
"""

import sys
from pathlib import Path
from typing import Any

from locust import events

from astrometer.load import add_weights

sys.path.insert(0, str(Path(__file__).resolve().parent))  # the other locustfiles, from wherever this is run

import chat
import im_bursts
import im_chat
import reads
import uploads

CROWD: dict[str, Any] = {
    "chat": chat.Chatter,
    "upload": uploads.Sender,
    "im": im_bursts.Notifier,
    "reads": reads.Onlooker,
    "im_chat": im_chat.Writer,
}
Chatter, Sender, Notifier, Onlooker, Writer = (
    CROWD.values()
)  # Locust runs the user classes that it finds here


@events.init_command_line_parser.add_listener
def _add_weights(parser: Any) -> None:
    add_weights(parser, {"chat": 6, "upload": 1, "im": 1, "reads": 2, "im_chat": 6})


@events.init.add_listener
def _weigh_the_crowd(environment: Any, **_: Any) -> None:
    for name, user in CROWD.items():
        user.weight = getattr(environment.parsed_options, f"{name}_weight")
    if not environment.parsed_options.messenger:
        Writer.weight = 0
    environment.user_classes = [user for user in environment.user_classes if user.weight > 0]
