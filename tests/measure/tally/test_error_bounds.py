"""A percentile says how far it may be from the truth, and only what it hides can make it INVALID."""

import random

import pytest

from astrometer.api.chat.chat_exchange import ChatExchange, Deadlines
from astrometer.api.timings import Bounds
from astrometer.measure.slo.objectives import ObjectiveVerdict, evaluate
from astrometer.measure.slo.slo_parser import parse_objectives
from astrometer.measure.tally.error_bounds import BoundBuckets, ErrorBounds
from astrometer.measure.tally.exchange_stats import Stats, stats_json
from astrometer.measure.tally.histogram import Histogram
from astrometer.measure.tally.tally import Tally

SESSION = b'data: {"type":"session_id","session_id":"s"}\n\n'
TEXT = b'data: {"type":"plain","data":"word","streaming":true,"chain_type":null}\n\n'
STATS = (
    b'data: {"type":"agent_stats","data":{"token_usage":{"input_other":3,"output":4},'
    b'"time_to_first_token":0.1}}\n\n'
)
END = b'data: {"type":"end","data":""}\n\n'


def sample(value, low, high):
    return BoundBuckets.by_metric({"": [Bounds(value, low, high)]})[""]


def turn(reads, send_s=0.0):
    """One chat sent at 0, from (t, since, bytes) of each read."""
    exchange = ChatExchange(streaming=True, deadlines=Deadlines())
    exchange.sent(0.0)
    exchange.sending(0.0, send_s)
    exchange.headers(0.01, 200, "text/event-stream")
    for t, since, chunk in reads:
        exchange.feed(t, chunk, since)
    exchange.eof(reads[-1][0])
    return exchange.result()


def test_of_events_that_were_merged_all_but_the_last_have_a_lower_bound():
    found = turn(
        [(0.05, 0.05, SESSION), (0.3, 0.1, TEXT + TEXT + TEXT), (0.4, 0.4, TEXT), (0.5, 0.5, STATS + END)]
    )
    assert found.metrics()["ttft"] == (0.3,)
    assert found.metrics()["chunk_gap"] == pytest.approx((0.0, 0.0, 0.1))
    bounds = found.bounds()
    assert bounds["ttft"] == (Bounds(0.3, 0.1, 0.3),)
    # Between two that were merged anything up to the whole time; the third one came at 0.3, surely.
    assert bounds["chunk_gap"] == (Bounds(0.0, 0.0, pytest.approx(0.2)), Bounds(0.0, 0.0, pytest.approx(0.2)))
    assert bounds["max_gap"] == (Bounds(pytest.approx(0.1), pytest.approx(0.1), pytest.approx(0.2)),)
    assert "e2e" not in bounds
    assert "turn_time" not in bounds


def test_a_read_that_ends_inside_of_an_event_is_certain_of_nothing():
    bounds = turn(
        [(0.05, 0.05, SESSION), (0.3, 0.1, TEXT + TEXT[:9]), (0.4, 0.4, TEXT[9:] + STATS + END)]
    ).bounds()
    assert bounds["ttft"] == (Bounds(0.3, 0.1, 0.3),)
    assert bounds["chunk_gap"] == (Bounds(pytest.approx(0.1), pytest.approx(0.1), pytest.approx(0.3)),)


def test_a_reader_in_time_is_certain_of_what_the_server_sent_together():
    assert turn([(0.05, 0.05, SESSION), (0.3, 0.3, TEXT + TEXT), (0.4, 0.4, STATS + END)]).bounds() == {}


def test_a_send_that_took_long_may_have_left_at_its_end():
    found = turn([(0.05, 0.05, SESSION), (0.3, 0.3, TEXT), (0.4, 0.4, TEXT + STATS + END)], send_s=0.02)
    assert found.bounds()["ttft"] == (Bounds(0.3, pytest.approx(0.28), 0.3),)
    assert "chunk_gap" not in found.bounds()


def test_the_true_percentile_lies_within_the_error():
    rng = random.Random(7)
    told, true, bounds = Histogram(), Histogram(), ErrorBounds()
    for _ in range(2000):
        value = rng.uniform(0.1, 0.4)
        low, high = value, value
        if rng.random() < 0.3:
            low, high = value - rng.uniform(0, 0.05), value + rng.uniform(0, 0.05)
            bounds.add_buckets(sample(high, low, high))
        told.record(high)
        true.record(value)
    for percent, error_s in zip((50, 90, 99), bounds.errors_s(told, (50, 90, 99)), strict=True):
        assert 0 < error_s < 0.06
        assert abs(told.percentile(percent) - true.percentile(percent)) <= error_s


def test_an_error_survives_the_way_from_a_worker_and_a_merge():
    tally, other = Tally(), Tally()
    for book in (tally, other):
        book.started("s", "chat", 0.0)
        book.finished(
            "s", "chat", 0.0, turn([(0.05, 0.05, SESSION), (0.3, 0.1, TEXT + TEXT), (0.5, 0.5, STATS + END)])
        )
    tally.merge(Tally.decode(other.encode()))
    found = stats_json(tally.total(), Stats(), 10.0)["metrics"]["ttft"]
    assert found["n"] == 2
    assert found["error_s"]["max"] == pytest.approx(0.2, abs=0.001)
    assert found["uncertain"] == 1.0


@pytest.mark.parametrize(
    ("limit", "low", "verdict"),
    [
        ("ttft_p50 < 2s", 0.97, ObjectiveVerdict.PASS),  # 30 ms: below 5 % of the second that it took
        ("ttft_p50 < 2s", 0.9, ObjectiveVerdict.INVALID),  # 100 ms: above
        ("ttft_p50 < 1.2s", 0.96, ObjectiveVerdict.PASS),
        ("ttft_p50 < 200ms", 0.96, ObjectiveVerdict.INVALID),  # 40 ms: above 10 % of the limit
        ("errors < 1%", 0.5, ObjectiveVerdict.PASS),
    ],
)
def test_only_an_objective_whose_error_matters_is_invalid(limit, low, verdict):
    stats = Stats()
    for _ in range(40):
        stats.started += 1
        stats.outcomes["ok"] += 1
        stats.ok["ttft"].record(1.0)
        stats.bounds["ttft"].add_buckets(sample(1.0, low, 1.0))
    judged = evaluate(parse_objectives([limit])[0], stats, 10.0)
    assert judged.verdict is verdict


def test_a_millisecond_never_matters():
    stats = Stats()
    for _ in range(40):
        stats.started += 1
        stats.ok["ttft"].record(0.004)
        stats.bounds["ttft"].add_buckets(sample(0.004, 0.0031, 0.004))
    assert evaluate(parse_objectives(["ttft_p50 < 5ms"])[0], stats, 10.0).verdict is ObjectiveVerdict.PASS


def test_a_process_that_was_held_up_while_it_connected_cannot_blame_the_server():
    exchange = ChatExchange(streaming=True, deadlines=Deadlines())
    exchange.sent(0.0)
    exchange.sending(0.2, 0.2001)
    exchange.headers(0.25, 200, "text/event-stream")
    exchange.feed(0.5, SESSION + TEXT + STATS + END, 0.5)
    exchange.eof(0.5)
    assert exchange.connecting == (0.0, 0.2)
    exchange.was_late(0.15)
    bounds = exchange.result().bounds()["ttft"][0]
    assert (bounds.value, bounds.high) == (0.5, 0.5)
    assert bounds.low == pytest.approx(0.5 - 0.1501)
