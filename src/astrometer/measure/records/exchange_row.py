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

_MANY = frozenset({"chunk_gap", LOSSY_TTFT})  # one value for each piece; said already
# From the intended time, which is the send where nothing was scheduled.
_EFFECTIVE = frozenset({"ttft_effective", "e2e_effective", "reply_first_effective", "reply_last_effective"})
_NAMES = {name: (f"{name}_s", f"{name}_low_s", f"{name}_high_s") for name in METRICS if name not in _MANY}
_NAMES_UNSCHEDULED = {name: names for name, names in _NAMES.items() if name not in _EFFECTIVE}
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
        name: float for names in _NAMES.values() for name in names
    },
}  # fmt: skip


def row_of(done: Ended, samples: ExchangeSamples) -> Row:
    """What is known of the exchange itself."""
    row: Row = {}
    add_exchange(row, done, samples)
    return row


def add_exchange(row: Row, done: Ended, samples: ExchangeSamples) -> None:
    """`row_of`, behind what a row has already."""
    row["outcome"] = done.outcome.value
    if done.outcome is not Outcome.DROPPED:
        _add_times(row, samples, _NAMES if is_scheduled(done) else _NAMES_UNSCHEDULED)
    if isinstance(done, ChatTurn):
        _add_chat(row, done)
    elif isinstance(done, CallResult):
        _add_call(row, done)
    else:
        _add_question(row, done)


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


def _add_times(row: Row, samples: ExchangeSamples, names: Mapping[str, tuple[str, str, str]]) -> None:
    named = names.get
    for name, values in samples.metrics.items():
        if found := named(name):
            row[found[0]] = values[0]
    for name, bounds in samples.bounds.items():
        if found := named(name):
            told, low, high = bounds[0]
            if low != told:
                row[found[1]] = low
            if high != told:
                row[found[2]] = high


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
    # One by one: `_add_known` takes twice as long, and most rows are those of chats.
    if turn.session_id is not None:
        row["session_id"] = turn.session_id
    if turn.message_id is not None:
        row["message_id"] = turn.message_id
    if turn.run_id is not None:
        row["astrbot_run_id"] = turn.run_id
    if turn.status is not None:
        row["status"] = turn.status
    if turn.bug is not None:
        row["bug"] = turn.bug.value
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
        if seen.retransmits is not None:
            row["retransmits"] = seen.retransmits
        if seen.out_of_order is not None:
            row["out_of_order"] = seen.out_of_order
    if resent:
        row["resent"] = resent


def _add_known(row: Row, **values: Any) -> None:
    for name, value in values.items():
        if value is not None:
            row[name] = value
