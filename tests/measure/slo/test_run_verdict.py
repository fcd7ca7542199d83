"""How a run is judged: by scenario, by stage, ended early, not to be trusted."""

import pytest
from causes import LAG

from astrometer.api.call_exchange import CallResult
from astrometer.api.outcome import Outcome
from astrometer.measure.slo.cause_sentences import sentence
from astrometer.measure.slo.objectives import ObjectiveVerdict, scenario_goals
from astrometer.measure.slo.run_verdict import Stop, StopReason, conclude, judge_stage
from astrometer.measure.slo.slo_parser import parse_objectives
from astrometer.measure.tally.tally import Tally

START = 0.0  # since the run began


def tally(objectives=(), stages=()):
    made = Tally(stages=stages, scenario_goals=scenario_goals(objectives))
    for index in range(200):
        scenario, duration_s = ("slow", 2.0) if index % 2 else ("fast", 0.1)
        made.started(scenario, "call", START + index / 10)
        result = CallResult(outcome=Outcome.OK, duration_s=duration_s)
        made.finished(scenario, "call", START + index / 10, result)
    return made


def verdicts(conclusion):
    return [item.verdict for item in conclusion.objectives]


def test_an_objective_of_a_scenario_is_judged_on_that_scenario_alone():
    objectives = parse_objectives(["fast: duration_p90 < 1s", "slow: duration_p90 < 1s", "duration_p50 < 1s"])
    end = conclude(tally(), objectives, 20.0)
    assert verdicts(end) == [ObjectiveVerdict.PASS, ObjectiveVerdict.FAIL, ObjectiveVerdict.PASS]
    assert [item.n for item in end.objectives] == [100, 100, 200]
    assert end.verdict == "FAIL"


def test_a_scenario_that_did_not_run_is_named_with_those_that_did():
    end = conclude(tally(), parse_objectives(["fsat: duration_p50 < 1s"]), 20.0)
    assert end.verdict == "INVALID"
    assert [sentence(cause) for cause in end.causes] == [
        "objective 'fsat: duration_p50 < 1s': no scenario 'fsat' ran; there were fast, slow",
    ]


def test_nothing_passes_or_fails_in_a_run_that_cannot_be_trusted():
    objectives = parse_objectives(["errors < 1%", "duration_max < 1s", "ttft_p50 < 1s"])
    end = conclude(tally(), objectives, 20.0, untrusted=[LAG])
    assert verdicts(end) == [ObjectiveVerdict.INVALID, ObjectiveVerdict.INVALID, ObjectiveVerdict.NO_DATA]
    assert end.verdict == "INVALID"
    assert end.objectives[1].value > 1.9


def test_a_run_that_an_objective_ended_has_failed_even_if_the_drain_made_it_good():
    objectives = parse_objectives(["errors < 1%", "duration_p99 < 3s"])
    stop = Stop(by=StopReason.OBJECTIVE, sentence="errors", at_s=9.0, objective="errors < 1%")
    end = conclude(tally(), objectives, 20.0, stop=stop)
    assert (end.verdict, end.causes) == ("FAIL", ())
    assert verdicts(end) == [ObjectiveVerdict.FAIL, ObjectiveVerdict.NO_DATA]


def test_a_run_that_its_budget_ended_is_judged_on_what_was_measured():
    stop = Stop(by=StopReason.BUDGET, sentence="spent", at_s=9.0)
    assert conclude(tally(), parse_objectives(["errors < 1%"]), 20.0, stop=stop).verdict == "PASS"
    assert conclude(tally(), parse_objectives(["duration_p99 < 3s"]), 20.0, stop=stop).verdict == "INVALID"


def test_a_stage_is_judged_on_what_began_in_it():
    objectives = parse_objectives(["throughput > 6/s", "slow: duration_p50 < 1s"])
    staged = tally(objectives, stages=(START, START + 15))
    first = judge_stage(objectives, staged, 0, 15.0, trusted=True)
    assert [(item.verdict, item.n) for item in first] == [
        (ObjectiveVerdict.PASS, 150),
        (ObjectiveVerdict.FAIL, 75),
    ]
    second = judge_stage(objectives, staged, 1, 5.0, trusted=True)
    assert [(item.verdict, item.n) for item in second] == [
        (ObjectiveVerdict.PASS, 50),
        (ObjectiveVerdict.FAIL, 25),
    ]
    assert judge_stage(objectives, staged, 1, 5.0, trusted=False)[0].verdict is ObjectiveVerdict.INVALID


@pytest.mark.parametrize(
    ("outcomes", "waived", "verdict"),
    [
        ([Outcome.UNAUTHORIZED] * 3, False, "FAIL"),
        ([Outcome.UNAUTHORIZED] * 3, True, "NONE"),
        ([Outcome.UNAUTHORIZED] * 3 + [Outcome.OK], False, "NONE"),
    ],
)
def test_a_run_without_objectives_in_which_nothing_succeeded_has_failed(outcomes, waived, verdict):
    made = Tally()
    for outcome in outcomes:
        made.started("s", "call", START)
        made.finished("s", "call", START, CallResult(outcome=outcome, duration_s=0.1))
    assert conclude(made, [], 20.0, waived=waived).verdict == verdict


def test_a_run_that_a_signal_ended_is_never_green_whatever_was_measured():
    stop = Stop(by=StopReason.INTERRUPTED, sentence="a signal came before the end at 5m", at_s=6.0)
    for texts in (["duration_max < 3s"], ["duration_max < 1s"], []):
        end = conclude(tally(), parse_objectives(texts), 20.0, stop=stop)
        assert end.verdict == "INVALID"
        assert [sentence(cause) for cause in end.causes] == [
            "the run was cut short after 6 s: a signal came before the end at 5m"
        ]
        assert {item.verdict for item in end.objectives} <= {ObjectiveVerdict.INVALID}


def test_a_run_that_somebody_stopped_on_purpose_is_judged_on_what_was_measured():
    for by in (StopReason.WEB_UI, StopReason.LOCUSTFILE):
        stop = Stop(by=by, sentence="stopped", at_s=6.0)
        assert conclude(tally(), parse_objectives(["duration_max < 3s"]), 20.0, stop=stop).verdict == "PASS"
