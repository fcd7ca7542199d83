"""OneBot v11 actions, as AstrBot asks for them -> data, or a named refusal; and the answers to them.

Every action that can be answered is answered at once, refused ones too: AstrBot waits for it, and holds the
session up to 180 s when none comes.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

from astrometer.im.onebot_events import MAX_ID, frame
from astrometer.im.reply_content import ReplyContent, ReplyShapeError, read_forward, read_message
from astrometer.outside_text import read_json, shown

# As its client library writes it: the echo is the last of a frame.
_LAST_ECHO = re.compile(r'"echo"\s*:\s*(\{\s*"seq"\s*:\s*\d{1,18}\s*\})\s*\}\s*$')
_FIRST_TARGET = re.compile(r'"(user_id|group_id)"\s*:\s*"?(\d{1,18})"?\s*[,}]')


class RefusedFor(StrEnum):
    """Why a frame or an action was refused. Closed; values are labels."""

    NOT_JSON = "not_json"
    NOT_AN_ACTION = "not_an_action"
    UNKNOWN_ACTION = "unknown_action"
    BAD_PARAMS = "bad_params"
    OVERSIZED = "oversized"
    UNKNOWN_CHAT = "unknown_chat"  # nobody of ours: given by the session, which knows its people


# As OneBot implementations number them: 1400 and 1404 are the standard's own.
_RETCODES = {
    RefusedFor.NOT_AN_ACTION: 1400,
    RefusedFor.UNKNOWN_ACTION: 1404,
    RefusedFor.BAD_PARAMS: 1400,
    RefusedFor.OVERSIZED: 1413,
    RefusedFor.UNKNOWN_CHAT: 100,
}


class ChatPlace(NamedTuple):
    """Where a message is: a private chat with a user, or a group. One of the two is None."""

    user_id: int | None = None
    group_id: int | None = None


class SendAction(NamedTuple):
    """The bot says something."""

    action: str
    place: ChatPlace
    content: ReplyContent
    echo: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUpAction:
    """The bot asks who somebody is; it holds the question back until it knows."""

    action: str
    user_id: int
    group_id: int | None = None
    echo: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedAction:
    """A frame that cannot be served. Without `echo` nobody waits for an answer."""

    reason: RefusedFor
    detail: str = ""
    echo: Any = None
    place: ChatPlace | None = None  # whom it was for, where that could be read


OneBotAction: TypeAlias = SendAction | LookUpAction | RefusedAction


def parse_action(text: str | bytes) -> OneBotAction:
    """One frame of AstrBot. Never raises."""
    try:
        asked = read_json(text)
    except ValueError:
        return RefusedAction(reason=RefusedFor.NOT_JSON, detail="a frame that is not JSON")
    if not isinstance(asked, dict) or not isinstance(asked.get("action"), str):
        echo = asked.get("echo") if isinstance(asked, dict) else None
        return RefusedAction(reason=RefusedFor.NOT_AN_ACTION, detail="a frame without an action", echo=echo)
    action, echo = asked["action"], asked.get("echo")
    parse = _PARSERS.get(action)
    if parse is None:
        # Suffixes of the standard: nobody waits for the effect, or it comes later. It is the same action.
        parse = _PARSERS.get(action.removesuffix("_async").removesuffix("_rate_limited"))
    if parse is None:
        detail = f"unknown action {shown(action, 60)}"
        return RefusedAction(reason=RefusedFor.UNKNOWN_ACTION, detail=detail, echo=echo)
    try:
        return parse(action, _object(asked.get("params")), echo)
    except ReplyShapeError as exc:
        detail = f"{shown(action, 60)}: {exc}"
        return RefusedAction(reason=RefusedFor.BAD_PARAMS, detail=detail, echo=echo)


def oversized_action(head: str, tail: str, length: int) -> RefusedAction:
    """A frame too long to be kept, by its beginning and its end: whom it was for, and how to answer it."""
    found = _LAST_ECHO.search(tail)
    target = _FIRST_TARGET.search(head) or _FIRST_TARGET.search(tail)
    place = None
    if target is not None and (number := _id(target[2])) is not None:
        place = ChatPlace(**{target[1]: number})
    return RefusedAction(
        reason=RefusedFor.OVERSIZED,
        detail=f"a frame of more than {length} bytes",
        echo=None if found is None else read_json(found[1]),
        place=place,
    )


def answer(echo: Any, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The action was done."""
    return {"status": "ok", "retcode": 0, "data": data, "echo": echo}


def message_sent(echo: Any, message_id: int) -> str:
    """The frame that says so of a message. Put together by hand: each message of the bot has one."""
    data = f'{{"message_id":{message_id}}}'
    return f'{{"status":"ok","retcode":0,"data":{data},"echo":{frame(echo)}}}'


def refusal(refused: RefusedAction) -> dict[str, Any] | None:
    """The answer that names why not; None where nobody waits for one."""
    if refused.echo is None:
        return None
    return {
        "status": "failed",
        "retcode": _RETCODES.get(refused.reason, 1400),
        "data": None,
        "message": refused.detail,
        "wording": refused.detail,
        "echo": refused.echo,
    }


def _private(action: str, params: Mapping[str, Any], echo: Any) -> SendAction:
    place = ChatPlace(user_id=_needed(params, "user_id"))
    return SendAction(action, place, _content(params), echo)


def _group(action: str, params: Mapping[str, Any], echo: Any) -> SendAction:
    place = ChatPlace(group_id=_needed(params, "group_id"))
    return SendAction(action, place, _content(params), echo)


def _either(action: str, params: Mapping[str, Any], echo: Any) -> SendAction:
    """`send_msg` says which by its message type, or by the id that it has."""
    kind = params.get("message_type")
    if kind not in (None, "private", "group"):
        raise ReplyShapeError(f"message_type: {shown(str(kind), 40)} is neither private nor group")
    is_group = kind == "group" or (kind is None and params.get("group_id") is not None)
    return (_group if is_group else _private)(action, params, echo)


def _look_up(action: str, params: Mapping[str, Any], echo: Any) -> LookUpAction:
    group_id = _needed(params, "group_id") if "group" in action else None
    return LookUpAction(action=action, user_id=_needed(params, "user_id"), group_id=group_id, echo=echo)


_PARSERS: Mapping[str, Callable[[str, Mapping[str, Any], Any], SendAction | LookUpAction]] = {
    "send_private_msg": _private,
    "send_group_msg": _group,
    "send_msg": _either,
    "send_private_forward_msg": _private,
    "send_group_forward_msg": _group,
    "get_group_member_info": _look_up,
    "get_stranger_info": _look_up,
}


def _content(params: Mapping[str, Any]) -> ReplyContent:
    if "messages" in params:
        return read_forward(params["messages"])
    if "message" not in params:
        raise ReplyShapeError("message: missing")
    return read_message(params["message"])


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ReplyShapeError("params: an object expected")
    return value


def _needed(params: Mapping[str, Any], name: str) -> int:
    number = _id(params.get(name))
    if number is None:
        raise ReplyShapeError(f"{name}: a whole number expected")
    return number


def _id(value: Any) -> int | None:
    """AstrBot gives ids as numbers, in merged forwards as digits."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_ID:
        return None
    return value
