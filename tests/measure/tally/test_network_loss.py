"""Exchanges of lossy connections -> `network` of the results, by scenario and over processes."""

import json

import pytest
from ended_exchanges import INFO, call, tally_of, turn

from astrometer.api.chat.events import AgentStats
from astrometer.api.network_stats import NetworkStats
from astrometer.api.outcome import Outcome
from astrometer.measure.results import document
from astrometer.measure.slo.slo_parser import parse_objectives
from astrometer.measure.tally.network_loss import network_json
from astrometer.measure.tally.tally import Tally

QUIET = NetworkStats(rtt_s=0.02, retransmits=0, out_of_order=0)
ASKED_AGAIN = QUIET._replace(retransmits=1)
GAP = QUIET._replace(out_of_order=2)


def network_of(tally):
    total = tally.total()
    return network_json(total.network, total.ok)


def test_exchanges_are_counted_by_what_happened_to_them():
    both = QUIET._replace(retransmits=1, out_of_order=1)
    seen = [QUIET, QUIET, ASKED_AGAIN, GAP, both, QUIET._replace(full_reads=2)]
    told = network_of(tally_of(*(turn(network=one) for one in seen), call()))
    assert told == {
        "exchanges": 6,  # nobody told of the call
        "retransmitted": 2,
        "out_of_order": 2,
        "lossy": 3,
        "share": 0.5,
        "slow_ttft": {"n": 0, "lossy": 0},
        "full_reads": 1,
    }


def test_where_the_system_does_not_tell_there_is_no_share():
    assert network_of(tally_of(turn(), turn()))["share"] is None


def test_the_slowest_answers_that_a_lost_segment_may_have_delayed():
    quick = [turn(ttft=0.1, network=GAP if n < 10 else QUIET) for n in range(297)]
    slow = [turn(ttft=9.0, network=ASKED_AGAIN), turn(ttft=8.0, network=QUIET), turn(ttft=7.0, network=GAP)]
    tally = tally_of(*quick, *slow)
    assert network_of(tally)["slow_ttft"] == {"n": 3, "lossy": 2}


def test_failed_answers_count_among_the_exchanges_and_not_among_the_slow():
    failed = [turn(Outcome.RESET, ttft=9.0, network=GAP)]
    told = network_of(tally_of(*[turn(network=QUIET)] * 99, *failed))
    assert (told["exchanges"], told["lossy"], told["slow_ttft"]["lossy"]) == (100, 1, 0)


def test_processes_add_up():
    first, second = (
        tally_of(*[turn(ttft=0.1, network=QUIET)] * 149, turn(ttft=5.0, network=GAP)) for _ in "ab"
    )
    merged = Tally()
    for part in (first, second):
        merged.merge(Tally.decode(json.loads(json.dumps(part.take().encode()))))
    told = network_of(merged)
    assert (told["exchanges"], told["lossy"], told["slow_ttft"]) == (300, 2, {"n": 2, "lossy": 2})


def test_an_answer_that_turns_out_to_be_broken_off_is_counted_once():
    nothing = AgentStats(input_tokens=0, output_tokens=0, server_ttft_s=None)
    some = AgentStats(input_tokens=3, output_tokens=3, server_ttft_s=None)
    tally = tally_of(
        *[turn(ttft=0.1, network=QUIET, stats=None)] * 98,
        turn(ttft=5.0, network=GAP, stats=nothing, resent=1),
        turn(ttft=0.1, network=QUIET, stats=some),
    )
    assert tally.total().outcomes == {"ok": 99, "llm_error": 1}
    assert tally.total().resent == 1
    told = network_of(tally)
    assert (told["exchanges"], told["lossy"], told["slow_ttft"]) == (100, 1, {"n": 0, "lossy": 0})


def test_a_round_trip_may_be_an_objective():
    objectives = parse_objectives(["network_rtt_p95 < 50ms"])
    info = {name: getattr(INFO, name) for name in ("scenario", "url", "start", "duration_s")}
    for rtt_s, verdict in ((0.02, "PASS"), (0.08, "FAIL")):
        tally = tally_of(*[turn(network=QUIET._replace(rtt_s=rtt_s))] * 200)
        results = document.build(tally, document.RunInfo(**info, objectives=objectives))
        assert results["verdict"] == verdict
        assert results["objectives"][0]["value"] == pytest.approx(rtt_s, rel=0.01)


def test_results_have_it_by_scenario_operation_and_step():
    results = document.build(tally_of(*[turn(network=GAP)] * 30, call()), INFO)
    places = [
        results,
        results["scenarios"]["mixed"],
        results["operations"][0],
        results["timeline"]["steps"][0],
    ]
    assert [place["network"]["out_of_order"] for place in places] == [30] * 4
    assert results["operations"][1]["network"]["exchanges"] == 0
    assert results["metrics"]["network_rtt"]["n"] == 30
    assert "ttft_lossy" not in results["metrics"]
