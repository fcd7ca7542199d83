"""An answer's text -> the messages that go out: prefix, parts, image, forward, mention, quote. No sockets."""

import re
from dataclasses import dataclass
from typing import Any

from astrometer.targets.messenger.messenger_profile import MessengerProfile
from astrometer.targets.simulator.onebot_adapter.incoming_question import IncomingQuestion
from astrometer.targets.simulator.version_traits import Wire

Segment = dict[str, Any]
SENTENCE = re.compile(r".*?[。？！~…]+|.+$", re.DOTALL | re.MULTILINE)
LONGEST_SPLIT = 150  # a longer text is not split into parts
SHORTEST_IMAGE = 150
# A picture of one pixel: what matters of a text as an image is that its words are gone.
PIXEL = "base64://iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMessage:
    """One message to the session. `forwarded`: as one node of a forwarded message."""

    segments: tuple[Segment, ...]
    forwarded: bool = False
    after_pause: bool = False


def text_segment(text: str) -> Segment:
    return {"type": "text", "data": {"text": text}}


def bare(text: str) -> list[OutgoingMessage]:
    """What AstrBot sends past all decoration: a missing right, an exception."""
    return [OutgoingMessage(segments=(text_segment(text),))] if text.strip() else []


def decorated(
    text: str,
    question: IncomingQuestion,
    profile: MessengerProfile,
    wire: Wire,
    *,
    from_model: bool,
    parts: int = 0,
) -> list[OutgoingMessage]:
    """The messages of an answer, in order. `parts`: cut it into so many, whatever the profile says."""
    if not text.strip():
        return []
    text = profile.reply_prefix + text
    texts = [text]
    if parts > 1:
        texts = _cut(text, parts)
    elif profile.segmented_reply and from_model and len(text) <= LONGEST_SPLIT:
        texts = [part for found in SENTENCE.findall(text) if (part := found.strip())] or [text]
    chain: list[Segment] = [text_segment(part) for part in texts]
    if profile.text_to_image and sum(len(part) + 2 for part in texts) > SHORTEST_IMAGE:
        chain = [{"type": "image", "data": {"file": PIXEL}}]
    if sum(len(part["data"].get("text", "")) for part in chain) > profile.forward_threshold:
        return [OutgoingMessage(segments=tuple(chain), forwarded=True)]
    bare_image = chain[0]["type"] == "image" and not wire.decorates_images
    head = [] if bare_image else _head(chain, question, profile, wire)
    paused = profile.segmented_reply and from_model
    if paused or parts > 1:
        return [
            OutgoingMessage(segments=(*([] if number else head), part), after_pause=paused)
            for number, part in enumerate(chain)
        ]
    return [OutgoingMessage(segments=(*head, *chain))]


def _head(
    chain: list[Segment], question: IncomingQuestion, profile: MessengerProfile, wire: Wire
) -> list[Segment]:
    """What stands before an answer; behind a mention its text begins on a new line."""
    head: list[Segment] = []
    if profile.reply_with_quote:
        head.append(_quote(question.message_id, short=wire.short_quotes))
    if profile.reply_with_mention and question.group is not None:
        head.append({"type": "at", "data": {"qq": question.sender}})
        if wire.spaced_mentions:
            head.append(text_segment(" "))
            if chain[0]["type"] == "text":
                chain[0] = text_segment("\n" + chain[0]["data"]["text"])
    return head


def _quote(message_id: str, *, short: bool) -> Segment:
    if short:
        return {"type": "reply", "data": {"id": message_id}}
    empty = {"chain": [], "sender_id": 0, "sender_nickname": "", "time": 0, "message_str": "", "text": ""}
    return {"type": "reply", "data": {"id": message_id, **empty, "qq": 0, "seq": 0}}


def _cut(text: str, parts: int) -> list[str]:
    """Into as many pieces of about one length, at blanks."""
    found = text.split()
    size = max(1, -(-len(found) // parts))
    return [" ".join(found[at : at + size]) for at in range(0, len(found), size)]


def sentences(buffer: str) -> tuple[list[str], str]:
    """The whole sentences of a streamed text, and what of it is still open."""
    pattern = re.compile(r"[^。？！~…]+[。？！~…]+")
    done = [match.group().strip() for match in pattern.finditer(buffer)]
    end = max((match.end() for match in pattern.finditer(buffer)), default=0)
    return done, buffer[end:]
