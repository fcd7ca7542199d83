"""The slowest exchanges of a file: which they are, where their time went, what they share."""

import pytest
from record_rows import chat_row, chats

from astrometer.measure.records.phases import ExchangePhase, parts_of
from astrometer.measure.records.slow_exchanges import NothingSlow, explain


def parts(**row):
    return [(part.phase, round(part.length_s, 3)) for part in parts_of({"outcome": "ok", **row})]


def test_a_planted_cause_is_what_they_have_in_common():
    found = explain(lambda: chats(2000))
    assert (found.n, found.slow_n, len(found.slowest)) == (2000, 20, 10)
    assert all(took_s > 3.5 and row["turn"] == 7 for took_s, row in found.slowest)
    shares = {item.trait: (item.slow, item.everywhere) for item in found.common}
    assert shares == {
        ("turn of its session", "6 or later"): (20, 20),
        ("longer than usual", "gate wait"): (20, 20),
    }


def test_like_is_compared_with_like():
    upload = {
        "run": "x",
        "operation": "upload",
        "scenario": "u",
        "outcome": "ok",
        "measured": True,
        "user": "u",
    }
    uploads = [{**upload, "t_send_s": float(number), "duration_s": 60.0} for number in range(30)]
    warm_up = [{**chat_row(1, t_s=0.1, gate_s=99.0), "measured": False}]
    dropped = [{"run": "x", "operation": "chat", "outcome": "dropped", "measured": True, "t_send_s": 1.0}]
    found = explain(lambda: [*chats(200), *uploads, *warm_up, *dropped])
    assert (found.operation, found.n) == ("chat", 200)
    assert dict(found.left_out) == {
        "of ramp and warm-up": 1, "without such a time": 1, "of upload": 30,
    }  # fmt: skip
    assert explain(lambda: uploads, operation="upload").slowest[0][0] == 60.0


def test_slow_is_by_the_metric_that_was_asked_for():
    rows = [chat_row(1, t_s=1.0, tail_s=5.0), chat_row(2, t_s=1.0, tail_s=0.1, gate_s=50.0)]
    found = explain(lambda: rows, metric="tail")
    assert [row["t_send_s"] and row["tail_s"] for _, row in found.slowest] == [5.0, 0.1]


@pytest.mark.parametrize(("rows", "operation"), [([], None), ([chat_row(1, t_s=1.0)], "upload")])
def test_nothing_to_show_is_said(rows, operation):
    with pytest.raises(NothingSlow, match="no measured exchange"):
        explain(lambda: rows, operation=operation)


def test_the_parts_of_a_chat_follow_each_other():
    row = chat_row(1, t_s=1.0, gate_s=2.0, connect_s=0.004, schedule_lag_s=0.05)
    assert parts(**row) == [
        (ExchangePhase.LATE, 0.05),
        (ExchangePhase.CONNECT, 0.004),
        (ExchangePhase.ACCEPT, 0.006),
        (ExchangePhase.GATE, 2.0),
        (ExchangePhase.MODEL, 0.2),
        (ExchangePhase.ANSWER, 0.5),
        (ExchangePhase.TAIL, 0.01),
    ]


def test_a_chat_that_failed_waited_for_what_never_came():
    assert parts(outcome="timeout_first_token", accept_time_s=0.1, close_s=60.0) == [
        (ExchangePhase.ACCEPT, 0.1),
        (ExchangePhase.NO_END, 59.9),
    ]


def test_the_parts_of_uploads_and_of_replies():
    assert parts(duration_s=2.0, upload_accept_s=0.5) == [
        (ExchangePhase.BODY, 1.5),
        (ExchangePhase.CALL, 0.5),
    ]
    reply = {
        "closed_by": "quiet",
        "queue_wait_s": 1.0,
        "reply_first_s": 3.0,
        "reply_last_s": 4.0,
        "close_s": 8.0,
    }
    assert parts(**reply) == [
        (ExchangePhase.QUEUE, 1.0),
        (ExchangePhase.REPLY, 2.0),
        (ExchangePhase.PARTS, 1.0),
    ]
