"""Every duration that is measured, in one table: its name, its words, and which exchanges owe it. Data.

To add one of a chat: a row here, how `timings.Timings` computes `NAME_s`, and its row in
`docs/reference/results.md`. Objectives, results, reports and comparisons take their lists from here.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class Owner(StrEnum):
    """The exchanges that have a metric when they go well; failed ones count as infinitely slow in it."""

    CHAT = "chat"
    STREAM = "stream"  # a chat that was asked to stream
    UPLOAD = "upload"
    CALL = "call"  # anything without a stream
    REPLY = "reply"  # a question in a messenger
    NOBODY = "nobody"  # measured where it is known, and owed by none


@dataclass(frozen=True, slots=True)
class Metric:
    """`title` and `meaning` are for reports. `lateness_counts`: a late load generator changes it."""

    name: str
    title: str
    meaning: str
    owner: Owner
    lateness_counts: bool = field(default=False, kw_only=True)


# fmt: off
TABLE = (
    Metric(
        "accept_time", "accept", "send to first event: authentication and session, not the model", Owner.CHAT,
    ),
    Metric("gate_wait", "gate wait", "rate limit and session queue in the server", Owner.CHAT),
    # A server that is asked in clumps has another TTFT; what runs from the intended time has lateness inside.
    Metric(
        "ttft", "TTFT", "send to first visible model output, text or reasoning", Owner.STREAM,
        lateness_counts=True,
    ),
    Metric("ttft_text", "TTFT (text)", "send to first answer text", Owner.STREAM, lateness_counts=True),
    Metric(
        "ttft_effective", "TTFT effective", "TTFT from the intended arrival", Owner.STREAM,
        lateness_counts=True,
    ),
    Metric("chunk_gap", "chunk gap", "between consecutive pieces of an answer, all pooled", Owner.STREAM),
    Metric("max_gap", "longest gap", "the longest chunk gap of each answer", Owner.STREAM),
    Metric("e2e", "e2e", "send to last model output", Owner.CHAT),
    Metric(
        "e2e_effective", "e2e effective", "e2e from the intended arrival", Owner.CHAT, lateness_counts=True,
    ),
    Metric("turn_time", "turn time", "send to the end event", Owner.CHAT),
    Metric("tail", "tail", "last model output to the end event, such as saving the answer", Owner.CHAT),
    Metric(
        "tpot", "time per token", "after the first one, by the server's own count; none with tool calls",
        Owner.STREAM,
    ),
    Metric("server_ttft", "server TTFT", "the upstream's first token as the server reports it", Owner.STREAM),
    Metric("overhead", "overhead", "TTFT minus server TTFT: what AstrBot and the network add", Owner.STREAM),
    Metric(
        "network_rtt", "network RTT",
        "round trip of the connection by the kernel, the shortest of the last minutes", Owner.NOBODY,
    ),
    Metric("schedule_lag", "schedule lag", "how late the load generator sent", Owner.NOBODY),
    Metric("duration", "duration", "a plain call, send to complete answer", Owner.CALL),
    Metric(
        "duration_effective", "duration, effective", "duration from the intended arrival (open model)",
        Owner.CALL, lateness_counts=True,
    ),
    Metric(
        "upload_accept", "upload accept", "last byte of an upload's body to the head of the answer",
        Owner.UPLOAD,
    ),
    Metric(
        "upload_pace", "upload pace", "time per MB of an upload, first byte to answer; 1/throughput",
        Owner.UPLOAD,
    ),
    Metric(
        "reply_first", "first reply", "a question in a messenger, from send to the bot's first message",
        Owner.REPLY, lateness_counts=True,
    ),
    Metric(
        "reply_last", "last reply",
        "send to the bot's last message: pauses between the parts of an answer are inside", Owner.REPLY,
        lateness_counts=True,
    ),
    Metric(
        "reply_first_effective", "first reply, effective",
        "first reply from the intended arrival (open model)", Owner.NOBODY, lateness_counts=True,
    ),
    Metric(
        "reply_last_effective", "last reply, effective", "last reply from the intended arrival (open model)",
        Owner.NOBODY, lateness_counts=True,
    ),
    Metric(
        "queue_wait", "queue wait",
        "send to the last message to another question of the same chat before its own reply", Owner.NOBODY,
        lateness_counts=True,
    ),
    Metric("delivery", "delivery", "an IM push, from send to its arrival in the messenger", Owner.NOBODY),
)
# fmt: on
BY_NAME = {metric.name: metric for metric in TABLE}
METRICS = tuple(BY_NAME)


def owed_by(*owners: Owner) -> tuple[str, ...]:
    return tuple(metric.name for metric in TABLE if metric.owner in owners)


UPLOAD_METRICS = owed_by(Owner.UPLOAD)
WHOLE_METRICS = owed_by(Owner.CHAT)
# How long an exchange took, of each kind that there is.
EXCHANGE_TIMES = ("e2e", "duration", "reply_last")
REPLY_METRICS = owed_by(Owner.REPLY)
STREAMED_METRICS = owed_by(Owner.CHAT, Owner.STREAM)
LAG_SENSITIVE = frozenset(metric.name for metric in TABLE if metric.lateness_counts)
