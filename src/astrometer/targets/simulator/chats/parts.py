"""The `message` of a request -> message parts, by the rules of `/chat` (two ages) and of `/im/message`."""

from collections.abc import Mapping
from typing import Any

from astrometer.targets.simulator.chats.chat_run import Payload
from astrometer.targets.simulator.store import StoredFile

MEDIA = frozenset({"image", "record", "file", "video"})
EMPTY = "Message content is empty (reply only is not allowed)"


class PartsError(ValueError):
    """A message that the server refuses, in its own words."""


def old_chat_parts(message: Any, attachments: Mapping[str, StoredFile]) -> list[Payload]:
    """Up to 4.20.0: what has no content passes as long as it has a segment. Raises PartsError."""
    if isinstance(message, list):
        if not any(part.get("type") in MEDIA | {"plain"} for part in message):
            raise PartsError(EMPTY)
    elif not message:
        raise PartsError("Message are both empty")
    else:
        return [{"type": "plain", "text": message if isinstance(message, str) else ""}]
    parts = []
    for part in message:
        if part.get("type") == "plain":
            parts.append({"type": "plain", "text": part.get("text", "")})
        elif part.get("type") == "reply":
            parts.append(_reply(part))
        elif stored := attachments.get(part.get("attachment_id", "")):
            parts.append(_media(stored))
    return parts


def chat_parts(message: Any, attachments: Mapping[str, StoredFile]) -> list[Payload]:
    """From 4.20.1: what is unknown is left out, without a word."""
    if isinstance(message, str):
        text = message.strip()
        return [{"type": "plain", "text": text}] if text else []
    parts = []
    for part in message if isinstance(message, list) else []:
        if not isinstance(part, dict):
            continue
        kind = str(part.get("type", "")).strip()
        if kind == "plain" and part.get("text"):
            parts.append({"type": "plain", "text": str(part["text"])})
        elif kind == "reply" and part.get("message_id") is not None:
            parts.append(_reply(part))
        elif kind in MEDIA and (stored := attachments.get(str(part.get("attachment_id")))):
            parts.append(_media(stored))
    return parts


def has_content(parts: list[Payload]) -> bool:
    return any(part["type"] != "reply" for part in parts)


def im_text(
    message: Any, attachments: Mapping[str, StoredFile], *, empty_text: str
) -> tuple[str, list[Payload]]:
    """The text of an IM push and its parts to store; here every rule counts.

    `empty_text`: what this version says of an empty string. Raises PartsError.
    """
    if isinstance(message, str):
        text = message.strip()
        if not text:
            raise PartsError(empty_text)
        return text, [{"type": "plain", "text": text}]
    if not isinstance(message, list):
        raise PartsError("message must be a string or list")
    parts = [found for part in message if (found := _im_part(part, attachments)) is not None]
    if not has_content(parts):
        raise PartsError(EMPTY)
    return "".join(part.get("text", "") for part in parts), parts


def _im_part(part: Any, attachments: Mapping[str, StoredFile]) -> Payload | None:
    if not isinstance(part, dict):
        raise PartsError("message part must be an object")
    kind = str(part.get("type", "")).strip()
    if kind == "plain":
        text = str(part.get("text", ""))
        return {"type": "plain", "text": text} if text else None
    if kind == "reply":
        if part.get("message_id") is None:
            raise PartsError("reply part missing message_id")
        return _reply(part)
    if kind not in MEDIA:
        raise PartsError(f"unsupported message part type: {kind}")
    attachment_id = part.get("attachment_id")
    if not attachment_id:
        raise PartsError(f"{kind} part missing attachment_id")
    stored = attachments.get(str(attachment_id))
    if stored is None:
        raise PartsError(f"attachment not found: {attachment_id}")
    return _media(stored)


def _reply(part: Payload) -> Payload:
    selected = str(part.get("selected_text", ""))
    return {"type": "reply", "message_id": part.get("message_id"), "selected_text": selected}


def _media(stored: StoredFile) -> Payload:
    return {"type": stored.kind, "attachment_id": stored.attachment_id, "filename": stored.path}
