"""Pauses of streams above a threshold: counted, merged, judged and told."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrometer.api.call_exchange import CallResult
from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.outcome import Outcome
from astrometer.api.timings import Timings
from astrometer.measure.capacity.search_window import evidence
from astrometer.measure.results.document import build
from astrometer.measure.results.run_info import RunInfo
from astrometer.measure.slo.objectives import ObjectiveVerdict, evaluate
from astrometer.measure.slo.slo_parser import parse_objective
from astrometer.measure.tally.stalls import Stalls
from astrometer.measure.tally.tally import Tally

NOW = 0.0  # since the run began


def turn(*gaps_s, outcome=Outcome.OK):
    timings = Timings(t_intended=0.0, t_send=0.0, t_token1=0.2, chunk_gaps_s=gaps_s, streamed=True)
    return ChatTurn(outcome=outcome, timings=timings)


def tally_of(*turns, stall_s=1.0):
    tally = Tally(stall_s=stall_s, stages=[NOW])
    for done in turns:
        tally.started("chat", "chat", NOW)
        tally.finished("chat", "chat", NOW, done)
    return tally


def test_pauses_above_the_threshold_are_counted_with_their_length():
    stats = tally_of(turn(0.1, 1.5, 1.0, 2.5), turn(0.1, 0.9), turn()).total()
    assert (stats.stalls.streams, stats.stalls.turns, stats.stalls.n) == (2, 1, 2)
    assert stats.stalls.total_s == pytest.approx(4.0)
    assert stats.stalls.share == 0.5


def test_a_turn_that_ended_stalled_stood_still_and_one_that_failed_otherwise_improves_nothing():
    stalled, reset = turn(outcome=Outcome.STALLED), turn(outcome=Outcome.RESET)
    assert tally_of(stalled, reset).total().stalls.share == 1.0
    call = CallResult(outcome=Outcome.OK, duration_s=5.0)
    assert tally_of(call, reset).total().stalls.share is None


def test_the_threshold_is_the_runs():
    assert tally_of(turn(0.3, 0.1), stall_s=0.2).total().stalls.n == 1


@given(st.lists(st.lists(st.floats(0.001, 4), max_size=5), max_size=30), st.integers(0, 30))
def test_stalls_of_two_processes_add_up_over_the_wire(streams, cut):
    turns = [turn(*gaps) for gaps in streams]
    merged = Tally()
    for part in (turns[:cut], turns[cut:]):
        wire = msgpack.packb(tally_of(*part).take().encode())
        merged.merge(Tally.decode(msgpack.unpackb(wire, strict_map_key=False)))
    whole = tally_of(*turns)
    for one, other in ((merged.total(), whole.total()), (merged.stages[0], whole.stages[0])):
        assert one.stalls.to_wire()[:3] == other.stalls.to_wire()[:3]
        assert one.stalls.total_s == pytest.approx(other.stalls.total_s)


def test_an_objective_is_about_the_share_of_streams_with_a_stall():
    stats = tally_of(*[turn(0.1)] * 97, *[turn(1.1, 1.1)] * 3, turn()).total()
    judged = evaluate(parse_objective("stalls < 3%"), stats)
    assert (judged.verdict, judged.value, judged.n) == (ObjectiveVerdict.FAIL, 0.03, 100)
    assert evaluate(parse_objective("chat: stalls <= 3%"), stats).verdict is ObjectiveVerdict.PASS
    assert evaluate(parse_objective("stalls < 3%"), Tally().total()).verdict is ObjectiveVerdict.NO_DATA
    found = evidence(parse_objective("stalls < 10%"), stats)
    assert (found.bad, found.n, found.allowed) == (3, 100, 0.1)


def test_results_tell_the_stalls_of_every_row_and_the_threshold():
    info = RunInfo(scenario="s", url="u", start=NOW, duration_s=10.0, stall_threshold_s=0.5)
    results = build(tally_of(turn(0.6, 0.1), turn(0.1), stall_s=0.5), info)
    told = {"streams": 2, "turns": 1, "n": 1, "total_s": pytest.approx(0.6), "share": 0.5}
    assert results["stall_threshold_s"] == 0.5
    assert results["stalls"] == results["scenarios"]["chat"]["stalls"] == told
    assert results["timeline"]["steps"][0]["stalls"] == told


def test_what_is_shipped_comes_back():
    stalls = Stalls(streams=4, turns=2, n=3, total_s=4.5)
    assert Stalls.from_wire(stalls.to_wire()) == stalls
