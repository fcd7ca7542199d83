"""The message of a OneBot action -> what a person sees of it: text, pictures, quotation, mentions."""

from typing import Any, NamedTuple

_MEDIA = frozenset({"image", "record", "video", "file"})


class ReplyShapeError(ValueError):
    """A message that is not made as OneBot says; the text names the place."""


class ReplyContent(NamedTuple):
    """One message of the bot."""

    text: str = ""
    images: int = 0
    media: int = 0  # records, videos and files
    quoted_id: str | None = None  # the message that it quotes
    mentions: tuple[str, ...] = ()  # user ids after `@`
    forwarded: bool = False  # a merged forward: AstrBot's way with long answers
    oversized: bool = False  # too long to be read; nothing else is known of it
    media_key: int = 0  # equal for equal media

    @property
    def has_content(self) -> bool:
        return bool(self.text.strip()) or self.images > 0 or self.media > 0

    @property
    def sameness(self) -> tuple[str, int]:
        """Equal for two messages that say the same."""
        return self.text.strip(), self.media_key


def read_message(message: Any) -> ReplyContent:
    """The `message` of a sending action: segments, one segment, or a text. Raises ReplyShapeError."""
    return _Reader().read(message)


def read_forward(nodes: Any) -> ReplyContent:
    """The `messages` of a merged forward. Raises ReplyShapeError."""
    if not isinstance(nodes, list):
        raise ReplyShapeError("messages: a list of nodes expected")
    return _Reader(forwarded=True).read(nodes)


class _Reader:
    """Collects segments, those inside of nodes as well. Depth is bounded by `read_json`."""

    def __init__(self, *, forwarded: bool = False) -> None:
        self._texts: list[str] = []
        self._images = 0
        self._media = 0
        self._media_key = 0
        self._quoted: str | None = None
        self._mentions: list[str] = []
        self._forwarded = forwarded

    def read(self, message: Any) -> ReplyContent:
        self._message(message, "messages" if self._forwarded else "message")
        return ReplyContent(
            text="".join(self._texts),
            images=self._images,
            media=self._media,
            quoted_id=self._quoted,
            mentions=tuple(self._mentions),
            forwarded=self._forwarded,
            media_key=self._media_key,
        )

    def _message(self, message: Any, place: str) -> None:
        if isinstance(message, str):
            self._texts.append(message)
            return
        segments = [message] if isinstance(message, dict) else message
        if not isinstance(segments, list):
            raise ReplyShapeError(f"{place}: a list of segments expected")
        for index, segment in enumerate(segments):
            try:
                self._segment(segment)
            except ReplyShapeError as exc:
                raise ReplyShapeError(f"{place}[{index}]{exc}") from None

    def _segment(self, segment: Any) -> None:
        """Raises ReplyShapeError, whose text goes on from the place of the segment."""
        if not isinstance(segment, dict) or not isinstance(segment.get("type"), str):
            raise ReplyShapeError(": a segment with a type expected")
        data = segment.get("data")
        if data is None:
            data = {}
        if not isinstance(data, dict):
            raise ReplyShapeError(": data is not an object")
        kind = segment["type"]
        if kind == "text":
            text = data.get("text")
            if not isinstance(text, str):
                raise ReplyShapeError(": a text segment without a text")
            self._texts.append(text)
        elif kind == "reply":
            self._quoted = _word(data.get("id"))
        elif kind == "at":
            mentioned = _word(data.get("qq"))
            self._mentions += [mentioned] if mentioned else []
        elif kind in _MEDIA:
            self._images += kind == "image"
            self._media += kind != "image"
            self._media_key = hash((self._media_key, kind, str(data.get("file")), str(data.get("url"))))
        elif kind == "node":
            self._forwarded = True
            self._message(data.get("content", []), ".content")


def _word(value: Any) -> str | None:
    """An id as text, whether it came as one or as a number."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        return str(value).strip() or None
    except ValueError:  # Python refuses to print a number of more than 4300 digits
        return None
