"""Message segments -> request bodies of `POST /chat` and `POST /im/message`, with AstrBot's own rules.

The rules are checked before sending, so that a load test never measures the server's refusals of a
body that could not have worked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

AttachmentKind = Literal["image", "record", "file", "video"]


class MessageError(ValueError):
    """A message that AstrBot would refuse, with the rule that it breaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """A piece of text."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A quotation of an earlier message; chat only, and never the whole message."""

    message_id: str | int
    selected_text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """An uploaded file, by the `attachment_id` that the upload answered."""

    kind: AttachmentKind
    attachment_id: str


def Image(attachment_id: str) -> Attachment:  # noqa: N802 (a kind of segment, as `Plain` is)
    """An uploaded picture."""
    return Attachment(kind="image", attachment_id=attachment_id)


def Record(attachment_id: str) -> Attachment:  # noqa: N802
    """An uploaded voice message."""
    return Attachment(kind="record", attachment_id=attachment_id)


def File(attachment_id: str) -> Attachment:  # noqa: N802
    """Any other uploaded file."""
    return Attachment(kind="file", attachment_id=attachment_id)


def Video(attachment_id: str) -> Attachment:  # noqa: N802
    """An uploaded video."""
    return Attachment(kind="video", attachment_id=attachment_id)


Segment: TypeAlias = Plain | Reply | Attachment
Message: TypeAlias = str | Sequence[Segment]


def chat_body(
    *,
    username: str,
    message: Message,
    session_id: str | None = None,
    streaming: bool = True,
    config_id: str | None = None,
    config_name: str | None = None,
    selected_provider: str | None = None,
    selected_model: str | None = None,
) -> dict[str, Any]:
    """Return the JSON body of `POST /chat`; fields that are None are left out.

    Raises MessageError.
    """
    if not username:
        raise MessageError("username: /chat needs one, it is the identity of the caller")
    optional = {
        "session_id": session_id,
        "config_id": config_id,
        "config_name": config_name,
        "selected_provider": selected_provider,
        "selected_model": selected_model,
    }
    return {
        "username": username,
        "message": _encode(message, reply_allowed=True),
        "enable_streaming": streaming,
        **{name: value for name, value in optional.items() if value is not None},
    }


def im_body(*, umo: str, message: Message) -> dict[str, Any]:
    """Return the JSON body of `POST /im/message`. `umo` is `platform:MessageType:session`.

    Raises MessageError.
    """
    if umo.count(":") < 2 or not all(umo.split(":", 2)):
        raise MessageError(f"umo: {umo!r} is not of the form platform:MessageType:session")
    return {"umo": umo, "message": _encode(message, reply_allowed=False)}


def _encode(message: Message, *, reply_allowed: bool) -> str | list[dict[str, Any]]:
    if isinstance(message, str):
        if not message.strip():
            raise MessageError("message: empty text")
        return message
    if not message:
        raise MessageError("message: no segments")
    encoded = [_encode_segment(segment, index, reply_allowed) for index, segment in enumerate(message)]
    if not any(_has_content(segment) for segment in message):
        raise MessageError("message: only a reply or empty text; it needs a segment with content")
    return encoded


def _encode_segment(segment: Segment, index: int, reply_allowed: bool) -> dict[str, Any]:
    match segment:
        case Plain():
            return {"type": "plain", "text": segment.text}
        case Attachment():
            if segment.kind not in get_args(AttachmentKind):
                raise MessageError(f"message[{index}]: unknown attachment kind {segment.kind!r}")
            if not segment.attachment_id:
                raise MessageError(f"message[{index}]: {segment.kind} without attachment_id")
            return {"type": segment.kind, "attachment_id": segment.attachment_id}
        case Reply():
            if not reply_allowed:
                raise MessageError(f"message[{index}]: reply is for /chat, not for /im/message")
            body: dict[str, Any] = {"type": "reply", "message_id": segment.message_id}
            if segment.selected_text is not None:
                body["selected_text"] = segment.selected_text
            return body
    raise MessageError(f"message[{index}]: {type(segment).__name__} is not a segment")


def _has_content(segment: Segment) -> bool:
    return isinstance(segment, Attachment) or (isinstance(segment, Plain) and bool(segment.text.strip()))
