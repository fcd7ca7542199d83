"""A OneBot `message` event -> whose question it is, in which session, and its parts. No sockets."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from astrometer.targets.messenger.sink import FRIEND, GROUP

MEDIA = frozenset({"image", "file", "record", "video"})


class BadEvent(Exception):
    """An event that AstrBot fails on: it writes a line into its log and says nothing."""


class NotSegments(Exception):
    """A `message` that is not a list, which AstrBot answers with a sentence of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingQuestion:
    """One message of one person. Ids are text, as AstrBot keeps them."""

    account: str | None  # the event's self_id
    sender: str
    group: str | None
    message_id: str
    segments: tuple[dict[str, Any], ...]

    @property
    def session(self) -> str:
        return self.group if self.group is not None else self.sender

    def umo(self, platform: str) -> str:
        return f"{platform}:{GROUP if self.group is not None else FRIEND}:{self.session}"

    @property
    def has_media(self) -> bool:
        return any(segment["type"] in MEDIA for segment in self.segments)

    @property
    def starts_with_another(self) -> bool:
        """A group message that begins with an @ for somebody else: its prefix wakes nobody."""
        first = self.segments[0] if self.segments else None
        return (
            self.group is not None
            and first is not None
            and first["type"] == "at"
            and str(first["data"].get("qq")) not in (self.account, "all")
        )

    def runs(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """The data of neighbouring segments of one type."""
        for kind, run in groupby(self.segments, key=lambda segment: segment["type"]):
            yield kind, [segment["data"] for segment in run]


def read_question(event: dict[str, Any]) -> IncomingQuestion:
    """Raises BadEvent, NotSegments."""
    sender, kind, message = event.get("sender"), event.get("message_type"), event.get("message")
    if not isinstance(sender, dict) or "user_id" not in sender or kind not in ("private", "group"):
        raise BadEvent
    if not isinstance(message, list):
        raise NotSegments(str(message))
    if not all(isinstance(s, dict) and "type" in s and isinstance(s.get("data"), dict) for s in message):
        raise BadEvent
    account = event.get("self_id")
    return IncomingQuestion(
        account=None if account is None else str(account),
        sender=str(sender["user_id"]),
        group=str(event.get("group_id")) if kind == "group" else None,
        message_id=str(event.get("message_id")),
        segments=tuple(message),
    )


def words(data: list[dict[str, Any]]) -> str:
    """The text of neighbouring text segments. Raises BadEvent."""
    try:
        return "".join(str(part["text"]) for part in data).strip()
    except KeyError as exc:
        raise BadEvent from exc
