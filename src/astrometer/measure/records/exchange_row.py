"""A finished exchange -> what its row in a records file says: flat, with times in seconds. Pure.

A duration has the name that it has in `results.json`, with `_s`. Where it may have been shorter, `_low_s`
says how short; where longer, `_high_s`. What is not known of an exchange is left out of its row.

Names and values are apart, since most exchanges of a run have the same names: see `row_text`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from astrometer.api.call_exchange import CallResult
from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.metric_table import METRICS
from astrometer.api.network_stats import LOSSY_TTFT
from astrometer.api.outcome import Outcome
from astrometer.api.timings import CERTAIN_S
from astrometer.im.im_turn import ImTurn

Ended: TypeAlias = ChatTurn | CallResult | ImTurn
Row: TypeAlias = dict[str, Any]

_new = tuple.__new__  # a named tuple's own __new__ takes three times as long
_MANY = frozenset({"chunk_gap", LOSSY_TTFT})  # one value for each piece; said already
# From the intended time, which is the send where nothing was scheduled.
EFFECTIVE = frozenset(
    f"{name}_effective{end}_s"
    for name in ("ttft", "e2e", "reply_first", "reply_last")
    for end in ("", "_low", "_high")
)
# Every name that a row may have -> what it holds: for files of columns, and for the docs.
COLUMNS: Mapping[str, type] = {
    "run": str, "version": str, "process": int, "scenario": str, "operation": str, "way": str,
    "user": str, "turn": int, "measured": bool, "at": float, "t_send_s": float, "t_intended_s": float,
    "outcome": str, "detail": str, "answer": str, "reasoning": str,
    "streamed": bool, "headers_s": float, "close_s": float, "send_s": float,
    "server_time_s": float, "connect_s": float, "session_id": str, "message_id": str, "astrbot_run_id": str,
    "status": int, "bug": str, "input_tokens": int, "output_tokens": int, "bytes_sent": int,
    "bytes_received": int, "file_bytes": int, "answer_chars": int, "events": int, "retransmits": int,
    "out_of_order": int, "resent": int, "user_id": int, "group_id": int, "matched_by": str,
    "closed_by": str, "messages": int,
    **{
        f"{name}{end}_s": float for name in METRICS if name not in _MANY for end in ("", "_low", "_high")
    },
}  # fmt: skip
# Of few different values each.
KIND = ("scenario", "operation", "way", "measured", "outcome", "streamed")
COMMON = ("user", "turn", "at", "t_send_s", "t_intended_s")
TEXTS = ("detail", "answer", "reasoning")
_CHAT = (
    *COMMON, "headers_s", "close_s", "send_s", "server_time_s", "connect_s", "session_id", "message_id",
    "astrbot_run_id", "status", "bug", "input_tokens", "output_tokens", "bytes_received", "answer_chars",
    "events", "retransmits", "out_of_order", "resent",
)  # fmt: skip
_CALL = (
    *COMMON, "status", "file_bytes", "bytes_sent", "bytes_received", "retransmits", "out_of_order", "resent",
)  # fmt: skip
_QUESTION = (
    *COMMON, "close_s", "message_id", "user_id", "group_id", "matched_by", "closed_by", "bug", "messages",
    "answer_chars",
)  # fmt: skip


class RowFacts(NamedTuple):
    """Of an exchange, besides its durations. `t_send` is on the clock of its process.

    `scheduled`: it had a time at which it was due (open model). `names`: `COMMON`, and those of `values`.
    """

    t_send: float
    scheduled: bool
    streamed: bool | None
    names: tuple[str, ...]
    values: tuple[Any, ...]  # None: not known


def facts_of(done: Ended) -> RowFacts:
    if isinstance(done, ChatTurn):
        timings = done.timings
        return _new(RowFacts, (timings.t_send, timings.scheduled, timings.streamed, _CHAT, _of_chat(done)))
    if isinstance(done, CallResult):
        return RowFacts(done.t_send, done.t_intended is not None, None, _CALL, _of_call(done))
    return RowFacts(done.t_send, done.scheduled, None, _QUESTION, _of_question(done))


def texts_of(done: Ended) -> tuple[str, str, str]:
    """What was wrong in words, and what was said, as in `TEXTS`. All come from the server."""
    answer = "" if isinstance(done, CallResult) else done.text
    return done.detail, answer, done.reasoning if isinstance(done, ChatTurn) else ""


def _of_chat(turn: ChatTurn) -> tuple[Any, ...]:
    timings, stats, seen = turn.timings, turn.stats, turn.network
    t_send, t_headers, t_close = timings.t_send, timings.t_headers, timings.t_close
    bug = turn.bug
    return (
        None if t_headers is None else t_headers - t_send,
        None if t_close is None or turn.outcome is Outcome.DROPPED else t_close - t_send,
        timings.send_s if timings.send_s > CERTAIN_S else None,
        timings.server_time_s,
        turn.connect_s,
        turn.session_id,
        turn.message_id,
        turn.run_id,
        turn.status,
        None if bug is None else bug.value,
        None if stats is None else stats.input_tokens,
        None if stats is None else stats.output_tokens,
        turn.bytes_received,
        len(turn.text),
        sum(turn.events.values()),
        seen.retransmits,
        seen.out_of_order,
        turn.resent or None,
    )


def _of_call(call: CallResult) -> tuple[Any, ...]:
    return (
        call.status,
        None if call.upload is None else call.upload.file_bytes,
        call.bytes_sent,
        call.bytes_received,
        call.network.retransmits,
        call.network.out_of_order,
        call.resent or None,
    )


def _of_question(turn: ImTurn) -> tuple[Any, ...]:
    began = turn.outcome is not Outcome.DROPPED
    return (
        turn.t_close - turn.t_send if began else None,
        str(turn.message_id) if began else None,
        turn.user_id,
        turn.place.group_id,
        None if turn.matched_by is None else turn.matched_by.value,
        turn.closed_by.value,
        None if turn.bug is None else turn.bug.value,
        turn.messages,
        len(turn.text),
    )
