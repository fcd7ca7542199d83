"""A finished exchange -> its row in a records file: flat, with times in seconds. Pure.

A duration has the name that it has in `results.json`, with `_s`. Where it may have been shorter, `_low_s`
says how short; where longer, `_high_s`. What is not known of an exchange is left out of its row.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from astrometer.api.call_exchange import CallResult
from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.metric_table import METRICS
from astrometer.api.network_seen import LOSSY_TTFT, NOT_SEEN, NetworkSeen
from astrometer.api.outcome import Outcome
from astrometer.api.timings import CERTAIN_S
from astrometer.im.im_turn import ImTurn
from astrometer.measure.tally.exchange_stats import ExchangeSamples

Ended: TypeAlias = ChatTurn | CallResult | ImTurn
Row: TypeAlias = dict[str, Any]

_NAMES, _LOWS, _HIGHS = ({name: f"{name}{end}" for name in METRICS} for end in ("_s", "_low_s", "_high_s"))
_MANY = frozenset({"chunk_gap", LOSSY_TTFT})  # one value for each piece; said already
# From the intended time, which is the send where nothing was scheduled.
_EFFECTIVE = frozenset({"ttft_effective", "e2e_effective", "reply_first_effective", "reply_last_effective"})
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
        f"{metric}{end}": float
        for metric in METRICS if metric not in _MANY
        for end in ("_s", "_low_s", "_high_s")
    },
}  # fmt: skip


def row_of(done: Ended, samples: ExchangeSamples) -> Row:
    """What is known of the exchange itself."""
    row: Row = {"outcome": done.outcome.value}
    if done.outcome is not Outcome.DROPPED:
        _add_times(row, samples, left_out=_MANY if is_scheduled(done) else _MANY | _EFFECTIVE)
    if isinstance(done, ChatTurn):
        _add_chat(row, done)
    elif isinstance(done, CallResult):
        _add_call(row, done)
    else:
        _add_question(row, done)
    return row


def is_scheduled(done: Ended) -> bool:
    """Whether it had a time at which it was due (open model)."""
    if isinstance(done, CallResult):
        return done.t_intended is not None
    return done.timings.scheduled if isinstance(done, ChatTurn) else done.scheduled


def sent_at(done: Ended) -> float:
    """When it was sent, on the clock of its process."""
    return done.timings.t_send if isinstance(done, ChatTurn) else done.t_send


def texts_of(done: Ended) -> dict[str, str]:
    """What was said, and what was wrong in words; both come from the server."""
    found = {"detail": done.detail}
    if not isinstance(done, CallResult):
        found["answer"] = done.text
    if isinstance(done, ChatTurn):
        found["reasoning"] = done.reasoning
    return {name: text for name, text in found.items() if text}


def _add_times(row: Row, samples: ExchangeSamples, left_out: frozenset[str]) -> None:
    for name, values in samples.metrics.items():
        if name not in left_out:
            row[_NAMES[name]] = values[0]
    for name, bounds in samples.bounds.items():
        if name not in left_out:
            told, low, high = bounds[0]
            if low != told:
                row[_LOWS[name]] = low
            if high != told:
                row[_HIGHS[name]] = high


def _add_chat(row: Row, turn: ChatTurn) -> None:
    timings, t_send = turn.timings, turn.timings.t_send
    row["streamed"] = timings.streamed
    if timings.t_headers is not None:
        row["headers_s"] = timings.t_headers - t_send
    if timings.t_close is not None and turn.outcome is not Outcome.DROPPED:
        row["close_s"] = timings.t_close - t_send
    if timings.send_s > CERTAIN_S:
        row["send_s"] = timings.send_s
    if timings.server_time_s is not None:
        row["server_time_s"] = timings.server_time_s
    if turn.connect_s is not None:
        row["connect_s"] = turn.connect_s
    _add_known(
        row,
        session_id=turn.session_id,
        message_id=turn.message_id,
        astrbot_run_id=turn.run_id,
        status=turn.status,
        bug=None if turn.bug is None else turn.bug.value,
    )
    if turn.stats is not None:
        row["input_tokens"], row["output_tokens"] = turn.input_tokens, turn.output_tokens
    row["bytes_received"] = turn.bytes_received
    row["answer_chars"] = len(turn.text)
    row["events"] = sum(turn.events.values())
    _add_network(row, turn.network, turn.resent)


def _add_call(row: Row, call: CallResult) -> None:
    _add_known(
        row,
        status=call.status,
        file_bytes=None if call.upload is None else call.upload.file_bytes,
    )
    row["bytes_sent"], row["bytes_received"] = call.bytes_sent, call.bytes_received
    _add_network(row, call.network, call.resent)


def _add_question(row: Row, turn: ImTurn) -> None:
    if turn.outcome is not Outcome.DROPPED:
        row["close_s"] = turn.t_close - turn.t_send
        row["message_id"] = str(turn.message_id)
    _add_known(
        row,
        user_id=turn.user_id,
        group_id=turn.place.group_id,
        matched_by=None if turn.matched_by is None else turn.matched_by.value,
        bug=None if turn.bug is None else turn.bug.value,
    )
    row["closed_by"] = turn.closed_by.value
    row["messages"] = turn.messages
    row["answer_chars"] = len(turn.text)


def _add_network(row: Row, seen: NetworkSeen, resent: int) -> None:
    if seen is not NOT_SEEN:
        _add_known(row, retransmits=seen.retransmits, out_of_order=seen.out_of_order)
    if resent:
        row["resent"] = resent


def _add_known(row: Row, **values: Any) -> None:
    for name, value in values.items():
        if value is not None:
            row[name] = value
