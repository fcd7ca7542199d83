"""What a locustfile is made of: users, message segments, shapes. This is the stable surface.

Nothing is imported before it is asked for: Locust patches the whole process when it is imported, and most
modules of this package do without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astrometer.api import endpoints as endpoints
    from astrometer.api.chat.messages import Attachment as Attachment
    from astrometer.api.chat.messages import AttachmentKind as AttachmentKind
    from astrometer.api.chat.messages import File as File
    from astrometer.api.chat.messages import Image as Image
    from astrometer.api.chat.messages import Plain as Plain
    from astrometer.api.chat.messages import Record as Record
    from astrometer.api.chat.messages import Reply as Reply
    from astrometer.api.chat.messages import Video as Video
    from astrometer.load.messenger.messenger_users import MessengerUser as MessengerUser
    from astrometer.load.options import add_weights as add_weights
    from astrometer.load.schedule.shapes import StagesShape as StagesShape
    from astrometer.load.transport.multipart import SampleFile as SampleFile
    from astrometer.load.users import AstrBotUser as AstrBotUser
    from astrometer.load.users import ChatUser as ChatUser
    from astrometer.load.users import ImUser as ImUser
    from astrometer.load.users import ReadsUser as ReadsUser
    from astrometer.load.users import UploadUser as UploadUser

_SEGMENTS = ("Attachment", "AttachmentKind", "File", "Image", "Plain", "Record", "Reply", "Video")
_HOMES = {
    "astrometer.api.chat.messages": _SEGMENTS,
    "astrometer.load.messenger.messenger_users": ("MessengerUser",),
    "astrometer.load.options": ("add_weights",),
    "astrometer.load.schedule.shapes": ("StagesShape",),
    "astrometer.load.transport.multipart": ("SampleFile",),
    "astrometer.load.users": ("AstrBotUser", "ChatUser", "ImUser", "ReadsUser", "UploadUser"),
}


def __getattr__(name: str) -> object:
    if name == "endpoints":
        return import_module("astrometer.api.endpoints")
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(["endpoints", *(name for names in _HOMES.values() for name in names)])
