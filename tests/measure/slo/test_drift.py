"""Runs that drift are DRIFTING, and steady ones are not, however alike neighbouring moments are."""

import pytest
from steady_series import run_results

from astrometer.measure.slo.stages import LoadStage
from astrometer.report.view import run_view


def rising(share_per_minute):
    return lambda t_s: 0.5 * (1 + share_per_minute * t_s / 60)


def test_a_soak_that_becomes_two_percent_slower_a_minute_is_drifting():
    found = run_results(rising(0.02), minutes=15)
    assert found["verdict"] == "DRIFTING"
    (ttft,) = [drift for drift in found["steadiness"]["drifts"] if drift["metric"] == "ttft"]
    assert (ttft["kind"], ttft["per_minute"]) == ("trend", pytest.approx(0.02, rel=0.3))
    assert [cause["kind"] for cause in found["causes"]].count("drifting") == len(found["causes"])
    assert found["causes"][0]["sentence"].startswith("TTFT rose ")
    assert " % a minute, from 4" in found["causes"][0]["sentence"]
    assert found["objectives"][0]["verdict"] == "PASS"  # what was measured is true


def test_twenty_steady_runs_are_not():
    verdicts = [run_results(lambda _: 0.5, seed=seed, minutes=5, per_s=4)["verdict"] for seed in range(20)]
    assert verdicts == ["PASS"] * 20


def test_a_level_that_shifts_says_when_and_by_how_much():
    found = run_results(lambda t_s: 0.4 if t_s < 200 else 0.6)
    (cause,) = [cause for cause in found["causes"] if cause["sentence"].startswith("TTFT ")]
    assert cause["at_s"] == pytest.approx(200, abs=15)
    assert " at 3:" in cause["sentence"]
    assert "a minute" not in cause["sentence"]


def test_a_warm_up_that_would_leave_a_steady_run_is_named():
    found = run_results(lambda t_s: 0.9 if t_s < 200 else 0.5, r=0.2)
    assert found["verdict"] == "DRIFTING"
    assert found["steadiness"]["steady_from_s"] == pytest.approx(200, abs=15)
    assert run_view.headline(found).cure.startswith("It is steady from ")


def test_of_a_run_that_drifts_to_its_end_no_part_is_called_steady():
    found = run_results(rising(0.03), minutes=10)
    assert found["steadiness"]["steady_from_s"] is None
    assert run_view.headline(found).cure.startswith("No part of it is steady")


def test_failures_that_become_more_are_a_drift():
    found = run_results(lambda _: 0.5, failed=lambda t_s: t_s / 600 * 0.3)
    assert [drift["metric"] for drift in found["steadiness"]["drifts"]] == ["failed"]
    assert found["steadiness"]["drifts"][0]["sentence"].startswith("the share of failures rose ")
    assert found["verdict"] == "FAIL"  # a failed chat is infinitely slow


def test_what_is_too_small_to_matter_is_no_drift():
    assert run_results(rising(0.005), minutes=10, per_s=8, r=0.0)["verdict"] == "PASS"


def test_a_run_that_failed_or_was_waived_keeps_its_verdict_and_is_told():
    failed = run_results(rising(0.03), slos=("ttft_p95 < 1ms",))
    waived = run_results(rising(0.03), drift_ok=True)
    assert (failed["verdict"], waived["verdict"]) == ("FAIL", "PASS")
    assert failed["causes"] == waived["causes"] == []
    assert failed["steadiness"]["drifts"]
    assert waived["steadiness"]["drifts"]


@pytest.mark.parametrize(("minutes", "per_s"), [(1.5, 20), (10, 0.2)], ids=["too short", "too few"])
def test_without_enough_nothing_is_tested(minutes, per_s):
    found = run_results(rising(0.2), minutes=minutes, per_s=per_s, slos=())
    assert (found["steadiness"]["tested"], found["verdict"]) == ([], "NONE")


def test_of_a_profile_only_stages_of_one_load_are_looked_at():
    """The rise of the soak makes times rise; that is no drift."""
    stages = (
        LoadStage(name="rise", start_s=0, end_s=300, peak=20, is_flat=False),
        LoadStage(name="stay", start_s=300, end_s=600, peak=20),
    )
    steady = run_results(lambda t_s: 0.1 + min(t_s, 300) / 1000, stages=stages)
    assert (steady["verdict"], steady["steadiness"]["drifts"]) == ("PASS", [])
    drifting = run_results(lambda t_s: 0.1 + t_s / 1000, stages=stages)
    assert {drift["stage"] for drift in drifting["steadiness"]["drifts"]} == {"stay"}
    assert drifting["causes"][0]["sentence"].startswith("stage 'stay': ")
