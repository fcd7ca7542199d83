"""Every duration that is measured, in one table: its name, its words, and which exchanges owe it. Data.

To add one of a chat: a row here, the property `NAME_s` of `timings.Timings`, and its row in
`docs/reference/results.md`. Objectives, results, reports and comparisons take their lists from here.
"""

from dataclasses import dataclass
from enum import StrEnum


class Owner(StrEnum):
    """The exchanges that have a metric when they go well; failed ones count as infinitely slow in it."""

    CHAT = "chat"
    STREAM = "stream"  # a chat that was asked to stream
    UPLOAD = "upload"
    CALL = "call"  # anything without a stream
    REPLY = "reply"  # a question in a messenger
    NOBODY = "nobody"  # measured where it is known, and owed by none


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """`title` and `meaning` are for reports. `lateness_counts`: a late load generator changes it."""

    name: str
    title: str
    meaning: str
    owner: Owner
    lateness_counts: bool = False


TABLE = (
    Metric(
        name="accept_time",
        title="accept",
        meaning="send to first event: authentication and session, not the model",
        owner=Owner.CHAT,
    ),
    Metric(
        name="gate_wait",
        title="gate wait",
        meaning="rate limit and session queue in the server",
        owner=Owner.CHAT,
    ),
    Metric(
        name="ttft",
        title="TTFT",
        meaning="send to first visible model output, text or reasoning",
        owner=Owner.STREAM,
        lateness_counts=True,  # a server that is asked in clumps has another TTFT
    ),
    Metric(
        name="ttft_text",
        title="TTFT (text)",
        meaning="send to first answer text",
        owner=Owner.STREAM,
        lateness_counts=True,
    ),
    Metric(
        name="ttft_effective",
        title="TTFT effective",
        meaning="TTFT from the intended arrival",
        owner=Owner.STREAM,
        lateness_counts=True,  # it is inside of it
    ),
    Metric(
        name="chunk_gap",
        title="chunk gap",
        meaning="between consecutive pieces of an answer, all pooled",
        owner=Owner.STREAM,
    ),
    Metric(
        name="max_gap",
        title="longest gap",
        meaning="the longest chunk gap of each answer",
        owner=Owner.STREAM,
    ),
    Metric(name="e2e", title="e2e", meaning="send to last model output", owner=Owner.CHAT),
    Metric(
        name="e2e_effective",
        title="e2e effective",
        meaning="e2e from the intended arrival",
        owner=Owner.CHAT,
        lateness_counts=True,
    ),
    Metric(name="turn_time", title="turn time", meaning="send to the end event", owner=Owner.CHAT),
    Metric(
        name="tail",
        title="tail",
        meaning="last model output to the end event, such as saving the answer",
        owner=Owner.CHAT,
    ),
    Metric(
        name="tpot",
        title="time per token",
        meaning="after the first one, by the server's own count; none with tool calls",
        owner=Owner.STREAM,
    ),
    Metric(
        name="server_ttft",
        title="server TTFT",
        meaning="the upstream's first token as the server reports it",
        owner=Owner.STREAM,
    ),
    Metric(
        name="overhead",
        title="overhead",
        meaning="TTFT minus server TTFT: what AstrBot and the network add",
        owner=Owner.STREAM,
    ),
    Metric(
        name="network_rtt",
        title="network RTT",
        meaning="round trip of the connection by the kernel, the shortest of the last minutes",
        owner=Owner.NOBODY,
    ),
    Metric(
        name="schedule_lag",
        title="schedule lag",
        meaning="how late the load generator sent",
        owner=Owner.NOBODY,
    ),
    Metric(
        name="duration",
        title="duration",
        meaning="a plain call, send to complete answer",
        owner=Owner.CALL,
    ),
    Metric(
        name="duration_effective",
        title="duration, effective",
        meaning="duration from the intended arrival (open model)",
        owner=Owner.CALL,
        lateness_counts=True,
    ),
    Metric(
        name="upload_accept",
        title="upload accept",
        meaning="last byte of an upload's body to the head of the answer",
        owner=Owner.UPLOAD,
    ),
    Metric(
        name="upload_pace",
        title="upload pace",
        meaning="time per MB of an upload, first byte to answer; 1/throughput",
        owner=Owner.UPLOAD,
    ),
    Metric(
        name="reply_first",
        title="first reply",
        meaning="a question in a messenger, from send to the bot's first message",
        owner=Owner.REPLY,
        lateness_counts=True,
    ),
    Metric(
        name="reply_last",
        title="last reply",
        meaning="send to the bot's last message: pauses between the parts of an answer are inside",
        owner=Owner.REPLY,
        lateness_counts=True,
    ),
    Metric(
        name="reply_first_effective",
        title="first reply, effective",
        meaning="first reply from the intended arrival (open model)",
        owner=Owner.NOBODY,
        lateness_counts=True,
    ),
    Metric(
        name="reply_last_effective",
        title="last reply, effective",
        meaning="last reply from the intended arrival (open model)",
        owner=Owner.NOBODY,
        lateness_counts=True,
    ),
    Metric(
        name="queue_wait",
        title="queue wait",
        meaning="send to the last message to another question of the same chat before its own reply",
        owner=Owner.NOBODY,
        lateness_counts=True,
    ),
    Metric(
        name="delivery",
        title="delivery",
        meaning="an IM push, from send to its arrival in the messenger",
        owner=Owner.NOBODY,
    ),
)
BY_NAME = {metric.name: metric for metric in TABLE}
METRICS = tuple(BY_NAME)


def owed_by(*owners: Owner) -> tuple[str, ...]:
    """The names of what such exchanges owe."""
    return tuple(metric.name for metric in TABLE if metric.owner in owners)


UPLOAD_METRICS = owed_by(Owner.UPLOAD)
WHOLE_METRICS = owed_by(Owner.CHAT)
# How long an exchange took, of each kind that there is.
EXCHANGE_TIMES = ("e2e", "duration", "reply_last")
REPLY_METRICS = owed_by(Owner.REPLY)
STREAMED_METRICS = owed_by(Owner.CHAT, Owner.STREAM)
LAG_SENSITIVE = frozenset(metric.name for metric in TABLE if metric.lateness_counts)
