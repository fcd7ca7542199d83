"""Counting ended exchanges and merging processes."""

import math

import msgpack
import pytest
from ended_exchanges import INFO, NOW, call, tally_of, turn

from astrometer.api.call_exchange import CallResult
from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.outcome import Outcome
from astrometer.api.timings import Timings
from astrometer.measure.results.document import build
from astrometer.measure.tally.tally import Tally


def test_shipping_in_parts_loses_nothing_and_order_does_not_matter():
    whole = tally_of(turn(ttft=0.1), turn(Outcome.TRUNCATED), call(), turn(ttft=0.4, bytes_received=7))
    parts, source = [], Tally()
    for item in (turn(ttft=0.1), turn(Outcome.TRUNCATED), call(), turn(ttft=0.4, bytes_received=7)):
        operation = "chat" if isinstance(item, ChatTurn) else "configs"
        source.started("mixed", operation, NOW)
        parts.append(source.take())
        source.finished("mixed", operation, NOW, item)
        parts.append(source.take())
    merged = Tally()
    for part in reversed(parts):
        # What Locust does between a worker and its master.
        wire = msgpack.unpackb(msgpack.packb(part.encode()), strict_map_key=False)
        merged.add_wire(wire)
    assert build(merged, INFO) == build(whole, INFO)
    assert merged.in_flight == 0
    assert source.take().counted == {}


def test_a_failure_keeps_its_ttft_apart_and_is_infinitely_slow_among_all_attempts():
    content = build(tally_of(*[turn() for _ in range(30)], turn(Outcome.STALLED, ttft=0.01)), INFO)
    assert content["metrics"]["ttft"]["n"] == 30
    assert content["metrics"]["ttft"]["p50"] == pytest.approx(0.2, rel=1e-3)
    assert content["metrics_failed"]["ttft"]["n"] == 1
    everything = content["metrics_all_attempts"]["ttft"]
    assert (everything["n"], everything["max"]) == (31, "inf")


def test_a_failed_read_does_not_count_against_the_ttft_of_chats():
    total = tally_of(turn(), call(Outcome.SERVER_ERROR)).total()
    assert total.attempts("ttft").n == 1
    assert total.attempts("duration").max == math.inf


def test_goodput_wants_every_goal_met_and_counts_all_attempts():
    tally = tally_of(turn(ttft=0.1), turn(ttft=3.0), turn(Outcome.RESET), call(), goals={"ttft": 2.0})
    # The plain call owes no TTFT; the slow turn and the failed one are not good.
    assert build(tally, INFO)["goodput"] == {"good": 2, "per_s": 0.2, "share": 0.5}


def test_an_answer_that_owes_a_ttft_and_has_none_is_not_good():
    timings = Timings(t_intended=0.0, t_send=0.0, t_tokenN=1.0, t_terminal=1.0)
    assert tally_of(ChatTurn(outcome=Outcome.OK, timings=timings), goals={"ttft": 2.0}).total().good == 0


STREAM_METRICS = ("ttft", "ttft_text", "chunk_gap", "max_gap", "accept_time", "e2e", "tail", "tpot")


@pytest.mark.parametrize("metric", STREAM_METRICS)
def test_failing_improves_no_percentile_of_any_metric(metric):
    total = tally_of(turn(), turn(Outcome.STALLED), turn(Outcome.TRUNCATED)).total()
    assert total.attempts(metric).max == math.inf
    assert total.attempts(metric).n >= 2


def test_a_failed_scheduled_call_owes_its_effective_duration():
    late = CallResult(outcome=Outcome.RESET, duration_s=0.1, t_send=2.0, t_intended=1.0)
    assert tally_of(late).total().attempts("duration_effective").max == math.inf


def test_a_dropped_call_has_measured_nothing_and_owes_no_ttft():
    dropped = CallResult(outcome=Outcome.DROPPED, duration_s=0.0, t_send=1.0, t_intended=1.0)
    total = tally_of(dropped).total()
    assert total.attempts("duration").max == math.inf
    assert total.attempts("ttft").n == 0
    assert total.failed == {}
