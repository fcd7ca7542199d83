"""What somebody writes -> OneBot v11 message events, as AstrBot's `aiocqhttp` adapter reads them.

The adapter's rules are checked before sending: it answers a bad event with silence.
"""

import base64
import json
from collections.abc import Sequence
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

    def json(self) -> str:
        return _segment("text", "text", valid(self.text))

    @property
    def has_content(self) -> bool:
        return bool(self.text.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class AtSegment:
    """`@somebody`. Only `@bot` (its `self_id`) wakes AstrBot; it then asks for the member's card first."""

    user_id: int | Literal["all"]
    has_content = False

    def json(self) -> str:
        if self.user_id != "all":
            _checked_id("at", self.user_id)
        return _segment("at", "qq", str(self.user_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSegment:
    """A picture, by its bytes."""

    data: bytes
    has_content = True

    def json(self) -> str:
        return _segment("image", "file", f"base64://{base64.b64encode(self.data).decode()}")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteSegment:
    """A quotation of an earlier message: AstrBot asks for it with `get_msg` before anything else."""

    message_id: int
    has_content = False

    def json(self) -> str:
        return _segment("reply", "id", str(_checked_id("reply", self.message_id)))


EventSegment: TypeAlias = TextSegment | AtSegment | ImageSegment | QuoteSegment


def message_event(
    segments: Sequence[EventSegment],
    *,
    self_id: int,
    user_id: int,
    message_id: int,
    group_id: int | None = None,
    nickname: str = "",
    wall_s: float = 0.0,
) -> str:
    """The frame of one message to the bot. Without `group_id` it is a private one. Raises EventError.

    `message_id` must be new: AstrBot asks the model again for one that it had before. `wall_s`: seconds of
    the epoch; AstrBot takes its own time.
    """
    # Put together by hand: that takes a third of the time of a JSON encoder, and each question has one.
    if not any(segment.has_content for segment in segments):
        raise EventError("message: no text and no image; AstrBot does not answer an empty message")
    _checked_id("user_id", user_id)
    said = ",".join([segment.json() for segment in segments])
    text = "".join([segment.text for segment in segments if isinstance(segment, TextSegment)])
    where = '"private","sub_type":"friend"'
    if group_id is not None:
        where = f'"group","sub_type":"normal","group_id":{_checked_id("group_id", group_id)}'
    return (
        f'{{"time":{int(wall_s)},"self_id":{_checked_id("self_id", self_id)},"post_type":"message",'
        f'"message_type":{where},"message_id":{_checked_id("message_id", message_id)},"user_id":{user_id},'
        f'"message":[{said}],"raw_message":{_ENCODE(valid(text))},"font":0,'
        f'"sender":{{"user_id":{user_id},"nickname":{_ENCODE(valid(nickname) or str(user_id))},"card":""}}}}'
    )


def lifecycle_event(self_id: int, wall_s: float = 0.0) -> dict[str, Any]:
    """What a messenger says first; AstrBot only logs it."""
    kind = {"post_type": "meta_event", "meta_event_type": "lifecycle", "sub_type": "connect"}
    return {"time": int(wall_s), "self_id": self_id, **kind}


def frame(body: Any) -> str:
    """The text of one WebSocket message."""
    return _ENCODE(body)


def _segment(kind: str, name: str, value: str) -> str:
    return f'{{"type":"{kind}","data":{{"{name}":{_ENCODE(value)}}}}}'


def _checked_id(name: str, value: int) -> int:
    # A user id that is not a number is answered by another action; zero is "nobody" to the adapter.
    if type(value) is not int or not 0 < value <= MAX_ID:
        raise EventError(f"{name}: {value!r} is not a whole number from 1 to {MAX_ID}")
    return value
