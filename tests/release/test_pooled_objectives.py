"""Objectives of many blocks: judged on all samples together, never on an average of blocks."""

import pytest
from synthetic_runs import make_run

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
