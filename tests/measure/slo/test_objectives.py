"""Objectives judged on what was measured."""

import pytest

from astrometer.api.call_exchange import CallResult
from astrometer.api.outcome import Outcome
from astrometer.measure.slo.objectives import ObjectiveVerdict, evaluate, goals, scenario_goals
from astrometer.measure.slo.slo_parser import parse_objective, parse_objectives
from astrometer.measure.tally.exchange_stats import Stats


def stats(ok, failed=0):
    made = Stats()
    for index in range(ok + failed):
        outcome = Outcome.OK if index < ok else Outcome.RESET
        made.finish(CallResult(outcome=outcome, duration_s=0.1), good=index < ok)
    return made


@pytest.mark.parametrize(
    ("text", "ok", "failed", "verdict"),
    [
        ("duration_p50 < 200ms", 20, 0, ObjectiveVerdict.PASS),
        ("duration_p50 < 50ms", 20, 0, ObjectiveVerdict.FAIL),
        ("duration_p50 < 200ms", 19, 0, ObjectiveVerdict.NO_DATA),
        ("ttft_p50 < 1s", 100, 0, ObjectiveVerdict.NO_DATA),
        # Failing cannot improve a percentile: 60 % of the attempts are infinitely slow.
        ("duration_p50 < 200ms", 8, 12, ObjectiveVerdict.FAIL),
        ("errors < 1%", 100, 0, ObjectiveVerdict.PASS),
        ("errors <= 1%", 99, 1, ObjectiveVerdict.PASS),
        ("errors < 1%", 99, 1, ObjectiveVerdict.FAIL),
        ("errors < 1%", 0, 0, ObjectiveVerdict.NO_DATA),
        ("goodput > 95%", 100, 0, ObjectiveVerdict.PASS),
        ("goodput >= 95%", 95, 5, ObjectiveVerdict.PASS),
        ("goodput > 95%", 95, 5, ObjectiveVerdict.FAIL),
    ],
)
def test_an_objective_is_judged_on_all_attempts(text, ok, failed, verdict):
    assert evaluate(parse_objective(text), stats(ok, failed)).verdict is verdict


def test_goals_are_the_strictest_upper_limits_of_durations():
    objectives = parse_objectives(["ttft_p95 < 2s", "ttft_p50 < 1s", "errors < 1%", "e2e_max < 30s"])
    assert goals(objectives) == {"ttft": 1.0, "e2e": 30.0}


def test_goals_of_a_scenario_are_its_own_and_those_for_all():
    objectives = parse_objectives(["ttft_p95 < 2s", "chat: ttft_p95 < 1s", "chat: e2e_max < 9s"])
    assert goals(objectives) == {"ttft": 2.0}
    assert scenario_goals(objectives) == {"chat": {"ttft": 1.0, "e2e": 9.0}}


def test_a_rate_needs_a_window_and_an_outcome_is_a_share():
    counted = stats(90, 10)
    counted.started = 100
    assert evaluate(parse_objective("throughput > 5/s"), counted, 10.0).value == 9.0
    assert evaluate(parse_objective("throughput > 5/s"), counted).verdict is ObjectiveVerdict.NO_DATA
    assert evaluate(parse_objective("reset < 5%"), counted).verdict is ObjectiveVerdict.FAIL
    assert evaluate(parse_objective("reset < 5%"), counted).value == 0.1
