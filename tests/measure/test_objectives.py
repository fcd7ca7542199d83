"""SLO expressions and their verdicts."""

import pytest

from astrometer.api.outcome import Outcome
from astrometer.measure.exchange import CallResult
from astrometer.measure.objectives import (
    ObjectiveError,
    Verdict,
    evaluate,
    goals,
    parse_objective,
    parse_objectives,
)
from astrometer.measure.tally import Cell


@pytest.mark.parametrize(
    ("text", "metric", "percent", "limit"),
    [
        ("ttft_p95 < 2s", "ttft", 95, 2.0),
        ("ttft_effective_p99<=500ms", "ttft_effective", 99, 0.5),
        ("e2e_max < 1.5m", "e2e", None, 90.0),
        ("errors < 1%", "errors", None, 0.01),
        ("goodput > 95%", "goodput", None, 0.95),
    ],
)
def test_an_expression_is_read(text, metric, percent, limit):
    objective = parse_objective(text)
    assert (objective.metric, objective.percent, objective.limit) == (metric, percent, pytest.approx(limit))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("fast please", "cannot be read; write METRIC_pNN < LIMIT"),
        ("ttft_p95 < 2", "cannot be read"),
        ("tftt_p95 < 2s", "unknown metric 'tftt'; there are accept_time, .*ttft"),
        ("ttft < 2s", "which percentile\\? write ttft_p95 or ttft_max"),
        ("ttft_p97 < 2s", "p97 is not measured; there are p50, p90, p95, p99 and max"),
        ("ttft_p95 < 2%", "ttft is a duration"),
        ("errors < 2s", "errors is a share"),
        ("errors_p95 < 1%", "errors is a share"),
    ],
)
def test_what_cannot_be_read_is_said_with_what_exists(text, reason):
    with pytest.raises(ObjectiveError, match=reason) as error:
        parse_objective(text)
    assert repr(text) in str(error.value)


def cell(ok, failed=0):
    made = Cell()
    for index in range(ok + failed):
        outcome = Outcome.OK if index < ok else Outcome.RESET
        made.finish(CallResult(outcome=outcome, duration_s=0.1), good=index < ok)
    return made


@pytest.mark.parametrize(
    ("text", "ok", "failed", "verdict"),
    [
        ("duration_p50 < 200ms", 20, 0, Verdict.PASS),
        ("duration_p50 < 50ms", 20, 0, Verdict.FAIL),
        ("duration_p50 < 200ms", 19, 0, Verdict.NO_DATA),
        ("ttft_p50 < 1s", 100, 0, Verdict.NO_DATA),
        # Failing cannot improve a percentile: 60 % of the attempts are infinitely slow.
        ("duration_p50 < 200ms", 8, 12, Verdict.FAIL),
        ("errors < 1%", 100, 0, Verdict.PASS),
        ("errors <= 1%", 99, 1, Verdict.PASS),
        ("errors < 1%", 99, 1, Verdict.FAIL),
        ("errors < 1%", 0, 0, Verdict.NO_DATA),
        ("goodput > 95%", 100, 0, Verdict.PASS),
        ("goodput >= 95%", 95, 5, Verdict.PASS),
        ("goodput > 95%", 95, 5, Verdict.FAIL),
    ],
)
def test_an_objective_is_judged_on_all_attempts(text, ok, failed, verdict):
    assert evaluate(parse_objective(text), cell(ok, failed)).verdict is verdict


def test_goals_are_the_strictest_upper_limits_of_durations():
    objectives = parse_objectives(["ttft_p95 < 2s", "ttft_p50 < 1s", "errors < 1%", "e2e_max < 30s"])
    assert goals(objectives) == {"ttft": 1.0, "e2e": 30.0}
