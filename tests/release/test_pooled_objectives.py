"""Objectives of many blocks: judged on all samples together, never on an average of blocks."""

import pytest
from server_usages import usage
from synthetic_runs import make_run

from astrometer.measure.results.result_parts import server_json
from astrometer.measure.server_usage import ServerEnd, ServerEndKind
from astrometer.release.pooled_objectives import pooled_objectives

SLOS = ("throughput > 4/s", "ttft_p95 < 1s", "chat: ttft_p50 < 350ms", "errors < 5%", "ttft_max < 50s")


def judged(*blocks):
    return {item["text"]: item for item in pooled_objectives([block.results for block in blocks])}


def test_each_kind_of_objective_is_that_of_all_blocks_together():
    fast = make_run(seed=1, chats=120, slos=SLOS)
    slow = make_run(seed=2, chats=60, ttft_s=0.6, slos=SLOS)
    both = judged(fast, slow)
    assert both["throughput > 4/s"]["value"] == pytest.approx(3.0)  # 180 chats in two windows of 30 s
    assert both["throughput > 4/s"]["verdict"] == "FAIL"
    p50 = both["chat: ttft_p50 < 350ms"]
    assert (p50["n"], p50["verdict"]) == (180, "PASS")
    assert 0.3 < p50["value"] < 0.35  # two of three chats were fast: no mean of 0.3 and 0.6
    assert both["ttft_p95 < 1s"]["verdict"] == "NO_DATA"  # 180 samples of 200
    assert judged(fast, slow, make_run(seed=3, chats=60, slos=SLOS))["ttft_p95 < 1s"]["verdict"] == "PASS"


def test_failures_count_as_infinitely_slow_and_a_share_has_all_exchanges():
    well, ill = make_run(seed=1, chats=300, slos=SLOS), make_run(seed=2, chats=100, failures=50, slos=SLOS)
    both = judged(well, ill)
    assert both["errors < 5%"]["value"] == pytest.approx(50 / 400)
    assert (both["ttft_p95 < 1s"]["value"], both["ttft_p95 < 1s"]["verdict"]) == ("inf", "FAIL")


def test_a_scenario_that_a_block_did_not_run_is_not_missed():
    other = make_run(seed=2, chats=100, scenarios=("sessions",), slos=SLOS)
    assert judged(make_run(seed=1, chats=100, slos=SLOS), other)["chat: ttft_p50 < 350ms"]["n"] == 100


def of_server(*servers):
    """Objectives on the server's process, of blocks in which it was sampled so."""
    slos = ("server_cpu_per_turn < 0.1s", "server_rss_growth < 11MB/1000 turns")
    blocks = [
        {**make_run(seed=1, chats=60, slos=slos).results, "server": None if one is None else server_json(one)}
        for one in servers
    ]
    return {item["metric"]: (item["verdict"], item["value"], item["n"]) for item in pooled_objectives(blocks)}


def test_what_the_server_used_in_blocks_that_are_too_short_each_is_judged_together():
    short = usage(seconds=7)
    assert short.cpu_per_turn_s is None
    both = of_server(short, short)
    assert both["server_cpu_per_turn"] == ("PASS", pytest.approx(0.08), 120)
    assert both["server_rss_growth"] == ("FAIL", pytest.approx(12e6), 120)
    assert of_server(short)["server_cpu_per_turn"] == ("NO_DATA", None, 60)


def test_a_block_in_which_the_process_is_not_known_to_the_end_leaves_it_open():
    end = ServerEnd(t_s=30.2, how=ServerEndKind.GONE)
    for other in (None, usage(ended=end)):
        assert of_server(usage(), other)["server_cpu_per_turn"][0] == "NO_DATA"
