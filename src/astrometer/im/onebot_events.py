"""What somebody writes -> OneBot v11 message events, as AstrBot's `aiocqhttp` adapter reads them.

The adapter's rules are checked before sending: it answers a bad event with silence.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from astrometer.outside_text import valid

MAX_ID = 2**63 - 1
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


class EventError(ValueError):
    """A message that AstrBot would not answer, with the rule that it breaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSegment:
    """A piece of text; AstrBot joins those of one message."""

    text: str

    def body(self) -> dict[str, Any]:
        return _segment("text", text=valid(self.text))

    @property
    def has_content(self) -> bool:
        return bool(self.text.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class AtSegment:
    """`@somebody`. Only `@bot` (its `self_id`) wakes AstrBot; it then asks for the member's card first."""

    user_id: int | Literal["all"]
    has_content = False

    def body(self) -> dict[str, Any]:
        if self.user_id != "all":
            _checked_id("at", self.user_id)
        return _segment("at", qq=str(self.user_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSegment:
    """A picture, by its bytes."""

    data: bytes
    has_content = True

    def body(self) -> dict[str, Any]:
        return _segment("image", file=f"base64://{base64.b64encode(self.data).decode()}")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteSegment:
    """A quotation of an earlier message: AstrBot asks for it with `get_msg` before anything else."""

    message_id: int
    has_content = False

    def body(self) -> dict[str, Any]:
        return _segment("reply", id=str(_checked_id("reply", self.message_id)))


EventSegment: TypeAlias = TextSegment | AtSegment | ImageSegment | QuoteSegment


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageEvent:
    """One message to the bot. Without `group_id` it is a private one.

    `message_id` must be new: AstrBot asks the model again for one that it had before.
    """

    self_id: int
    user_id: int
    message_id: int
    segments: Sequence[EventSegment]
    group_id: int | None = None
    nickname: str = ""
    wall_s: float = 0.0  # seconds of the epoch; AstrBot takes its own time

    def body(self) -> dict[str, Any]:
        """Raises EventError."""
        if not any(segment.has_content for segment in self.segments):
            raise EventError("message: no text and no image; AstrBot does not answer an empty message")
        user_id = _checked_id("user_id", self.user_id)
        name = valid(self.nickname) or str(user_id)
        message = [segment.body() for segment in self.segments]
        text = "".join([segment["data"]["text"] for segment in message if segment["type"] == "text"])
        where: dict[str, Any] = {"message_type": "private", "sub_type": "friend"}
        if self.group_id is not None:
            group_id = _checked_id("group_id", self.group_id)
            where = {"message_type": "group", "sub_type": "normal", "group_id": group_id}
        return {
            "time": int(self.wall_s),
            "self_id": _checked_id("self_id", self.self_id),
            "post_type": "message",
            **where,
            "message_id": _checked_id("message_id", self.message_id),
            "user_id": user_id,
            "message": message,
            "raw_message": text,
            "font": 0,
            "sender": {"user_id": user_id, "nickname": name, "card": ""},
        }


def lifecycle_event(self_id: int, wall_s: float = 0.0) -> dict[str, Any]:
    """What a messenger says first; AstrBot only logs it."""
    kind = {"post_type": "meta_event", "meta_event_type": "lifecycle", "sub_type": "connect"}
    return {"time": int(wall_s), "self_id": self_id, **kind}


def frame(body: Mapping[str, Any]) -> str:
    """The text of one WebSocket message."""
    return _ENCODE(body)


def _segment(kind: str, **data: str) -> dict[str, Any]:
    return {"type": kind, "data": data}


def _checked_id(name: str, value: int) -> int:
    # A user id that is no number is answered by another action; zero is "nobody" to the adapter.
    if type(value) is not int or not 0 < value <= MAX_ID:
        raise EventError(f"{name}: {value!r} is not a whole number from 1 to {MAX_ID}")
    return value
