"""SSE items -> the chat events of AstrBot 4.18 to 4.29: what each one means to a measurement."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from astrometer.api.chat.sse import Comment, Item
from astrometer.outside_text import read_json


class EventKind(StrEnum):
    """What an event is to a measurement. TEXT and REASONING alone are model output."""

    SESSION = "session"
    SAVED = "saved"  # a message row was written: control
    RUN_STARTED = "run_started"  # past the rate limit and the session queue (4.26.7+)
    TEXT = "text"  # answer text of the model
    REASONING = "reasoning"
    NOTICE = "notice"  # whole, non-streamed text: an answer only if no streaming was asked for
    TOOL = "tool"
    MEDIA = "media"
    STATS = "stats"
    COMPLETE = "complete"  # the full text once more; not the end
    PUSHED = "pushed"  # the end of a message that somebody else pushed into this chat; repeats its last part
    FOLLOW_UP = "follow_up"  # swallowed by a running turn of the same session
    ERROR = "error"
    END = "end"
    HEARTBEAT = "heartbeat"
    OTHER = "other"
    MALFORMED = "malformed"


# A label of a metric may hold these names and no others; anything else is "other".
KNOWN_TYPES = frozenset(
    {"session_id", "user_message_saved", "run_started", "plain", "agent_stats", "complete", "message_saved"}
    | {"image", "record", "file", "video", "attachment_saved", "follow_up_captured", "error", "end"}
    | {"heartbeat", "reasoning", "tool_call", "tool_call_result", "malformed"}
)
_SIMPLE = {
    "session_id": EventKind.SESSION,
    "user_message_saved": EventKind.SAVED,
    "message_saved": EventKind.SAVED,
    "attachment_saved": EventKind.SAVED,
    "run_started": EventKind.RUN_STARTED,
    "agent_stats": EventKind.STATS,
    "complete": EventKind.COMPLETE,
    "image": EventKind.MEDIA,
    "record": EventKind.MEDIA,
    "file": EventKind.MEDIA,
    "video": EventKind.MEDIA,
    "follow_up_captured": EventKind.FOLLOW_UP,
    "error": EventKind.ERROR,
    "end": EventKind.END,
}
_CHAINS = {
    "reasoning": EventKind.REASONING,
    "tool_call": EventKind.TOOL,
    "tool_call_result": EventKind.TOOL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStats:
    """The server's own account of a turn (`agent_stats`). Times in seconds."""

    input_tokens: int
    output_tokens: int
    server_ttft_s: float | None  # None: not streamed, or no token came
    server_time_s: float | None = None  # until the model was done; None: 4.26.6 to 4.27 do not tell it

    @property
    def asked_nothing(self) -> bool:
        """All counts zero: the upstream failed, or reports no usage."""
        return self.input_tokens == 0 and self.output_tokens == 0


class ChatEvent(NamedTuple):  # one is made per token: a frozen dataclass takes three times as long
    """One event. `type` is bounded (KNOWN_TYPES or "other"), `text` is what it says to a person."""

    kind: EventKind
    type: str
    text: str = ""
    session_id: str | None = None
    run_id: str | None = None
    stats: AgentStats | None = None
    data: Any = None


# Python 3.11 looks enum members up by a function: those of the common case have names here.
_TEXT, _NOTICE = EventKind.TEXT, EventKind.NOTICE
_new = tuple.__new__  # a named tuple's own __new__ takes three times as long
# What proxies and other servers send to keep a stream open, instead of a comment.
_KEEP_ALIVE_EVENTS = frozenset({"ping", "heartbeat", "keepalive", "keep-alive"})
_KEEP_ALIVE_DATA = frozenset({"", "[DONE]", "ping"})
_HEARTBEAT = ChatEvent(kind=EventKind.HEARTBEAT, type="heartbeat")
# A text event whose text stands in it as it is, in JSON with and without blanks.
_TEXT_EVENT = re.compile(r'(\{"type": ?"plain", ?"data": ?")([^"\\]*)("[^\\]*)', re.DOTALL)


class EventParser:
    """The data of one stream's events -> chat events. As `parse_data`, and sooner.

    Text events of a stream differ in nothing but their text: it is cut out of what was decoded once.
    """

    __slots__ = ("_after", "_before")

    def __init__(self) -> None:
        self._before = self._after = ""  # the text, in the last text event that was decoded

    def parse(self, data: str) -> ChatEvent:
        before, after = self._before, self._after
        if after and data.startswith(before) and data.endswith(after, len(before)):
            text = data[len(before) : -len(after)]
            if '"' not in text and "\\" not in text and text.isprintable():  # or JSON may say something else
                return _new(ChatEvent, (_TEXT, "plain", text, None, None, None, text))
        event = parse_data(data)
        if event.kind is _TEXT and event.type == "plain":
            found = _TEXT_EVENT.fullmatch(data)
            # Of two with one name the last counts.
            if found is not None and '"data"' not in found[3]:
                self._before, _, self._after = found.groups()
        return event


def parse_event(item: Item) -> ChatEvent:
    """Return the chat event in `item`; anything but a JSON object with a `type` is MALFORMED."""
    if isinstance(item, Comment):
        return _HEARTBEAT
    return parse_data(item.data, item.event)


def parse_data(data: str, name: str = "message") -> ChatEvent:
    """`parse_event` of a server event that is called `name`."""
    try:
        payload = read_json(data)
    except ValueError:
        if name in _KEEP_ALIVE_EVENTS or data.strip() in _KEEP_ALIVE_DATA:
            return _HEARTBEAT
        return ChatEvent(kind=EventKind.MALFORMED, type="malformed", text=data[:200])
    if not isinstance(payload, dict) or not isinstance(payload.get("type"), str):
        if name in _KEEP_ALIVE_EVENTS:
            return _HEARTBEAT
        return ChatEvent(kind=EventKind.MALFORMED, type="malformed", text=data[:200])
    return _chat_event(payload)


def _chat_event(payload: dict[str, Any]) -> ChatEvent:
    type_ = payload["type"]
    data = payload.get("data")
    text = data if isinstance(data, str) else ""
    if type_ == "plain":
        chain = payload.get("chain_type")
        if chain is None:
            kind = _TEXT if payload.get("streaming") else _NOTICE
            return _new(ChatEvent, (kind, "plain", text, None, None, None, data))
        told = _CHAINS.get(chain) if isinstance(chain, str) else None
        kind = told or (_TEXT if payload.get("streaming") else _NOTICE)
        label = chain if told in (EventKind.REASONING, EventKind.TOOL) else "plain"
        return ChatEvent(kind=kind, type=str(label), text=text, data=data)
    kind = _SIMPLE.get(type_, EventKind.OTHER)
    # The model's own always has `reasoning`; a pushed message's has the `chain_type` of its parts instead.
    if kind is EventKind.COMPLETE and "chain_type" in payload and "reasoning" not in payload:
        kind = EventKind.PUSHED
    return ChatEvent(
        kind=kind,
        type=type_ if kind is not EventKind.OTHER else "other",
        text=text,
        session_id=_string(payload.get("session_id")) if kind is EventKind.SESSION else None,
        run_id=_string(data.get("run_id")) if isinstance(data, dict) else None,
        stats=_stats(data) if kind is EventKind.STATS else None,
        data=data,
    )


def message_id_of(event: ChatEvent) -> str | None:
    """Of the row in which the server has kept the answer, when the event says so."""
    if event.type != "message_saved" or not isinstance(event.data, dict):
        return None
    number = event.data.get("id")
    return str(number) if isinstance(number, int | str) else None


def _stats(data: Any) -> AgentStats | None:
    if not isinstance(data, dict):
        return None
    usage = data.get("token_usage")
    usage = usage if isinstance(usage, dict) else {}
    ttft, began, done = (
        _number(data.get(name)) for name in ("time_to_first_token", "start_time", "end_time")
    )
    return AgentStats(
        input_tokens=int(_number(usage.get("input_other")) + _number(usage.get("input_cached"))),
        output_tokens=int(_number(usage.get("output"))),
        server_ttft_s=ttft if ttft > 0 else None,  # 0.0 means "none" in every version
        server_time_s=done - began if done > began > 0 else None,
    )


def _number(value: Any) -> float:
    """A finite, non-negative number, or 0.0 for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if 0 <= value < 1e15 else 0.0


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
