"""Why a run, a window or a stage is INVALID: the limits and the kinds."""

from dataclasses import replace

import pytest
from causes import sentences

from astrometer.api.call_exchange import CallResult
from astrometer.api.outcome import Outcome
from astrometer.measure.results.document import build
from astrometer.measure.results.run_info import RunInfo
from astrometer.measure.slo.cause_sentences import sentence
from astrometer.measure.slo.slo_parser import parse_objectives
from astrometer.measure.slo.validity import (
    MAX_SCHEDULE_LAG_S,
    CauseKind,
    GeneratorHealth,
    OpenArrivals,
    part_causes,
    schedule_lag_limit_s,
)
from astrometer.measure.tally.tally import Tally

NOW = 0.0  # since the run began


@pytest.mark.parametrize(
    ("texts", "limit_s"),
    [
        ([], MAX_SCHEDULE_LAG_S),
        (["ttft_p95 < 200ms"], 0.02),
        (["ttft_p95 < 2s", "e2e_effective_p99 < 100ms"], 0.01),
        (["ttft_effective_max < 10s"], MAX_SCHEDULE_LAG_S),
        (["chunk_gap_p99 < 100ms", "errors < 1%"], MAX_SCHEDULE_LAG_S),  # lateness changes neither
    ],
)
def test_the_generator_may_be_late_by_a_tenth_of_the_strictest_objective(texts, limit_s):
    assert schedule_lag_limit_s(parse_objectives(texts)) == pytest.approx(limit_s)


def run(health):
    tally = Tally()
    tally.started("s", "op", NOW)
    tally.finished("s", "op", NOW, CallResult(outcome=Outcome.OK, duration_s=0.1))
    return build(tally, RunInfo(scenario="s", url="u", start=NOW, duration_s=1.0, generator=health))


def test_a_lag_that_is_harmless_otherwise_makes_a_run_with_a_strict_objective_invalid():
    late = {"schedule_lag_p99_s": 0.03}
    assert sentences(run(GeneratorHealth(**late))) == []
    assert sentences(run(GeneratorHealth(**late, schedule_lag_limit_s=0.02))) == [
        "schedule lag p99 30 ms is above 20 ms, a tenth of an objective's limit"
    ]


CHANCES = [
    ("poisson", 100, 66, False),  # as few as that is chance
    ("poisson", 100, 64, True),
    ("constant", 100, 94, False),  # 95, but for the one whose time had not come
    ("constant", 100, 93, True),
    ("constant", 1.5, 1, False),
]


def test_each_kind_of_users_may_have_an_arrival_to_come():
    even = OpenArrivals(process="constant", seed=1, rate_per_s=0.5, expected=7.5, intended=5)
    assert even.fell_short
    assert not replace(even, kinds=4).fell_short


@pytest.mark.parametrize(("process", "expected", "intended", "short"), CHANCES)
def test_chance_excuses_missing_arrivals_only_where_there_is_chance(process, expected, intended, short):
    arrivals = OpenArrivals(process=process, seed=1, rate_per_s=1.0, expected=expected, intended=intended)
    assert arrivals.fell_short is short


@pytest.mark.parametrize(("by_chance", "found"), [(True, []), (False, [CauseKind.RATE_NOT_REACHED])])
def test_a_window_of_a_search_is_held_against_its_rate_in_the_same_way(by_chance, found):
    causes = part_causes(GeneratorHealth(), [], arrived=90, due=100, by_chance=by_chance)
    assert [cause.kind for cause in causes] == found


def test_a_lost_worker_is_reported_with_the_time_from_which_on_it_is_missing():
    found = sentences(run(GeneratorHealth(lost_workers=1, lost_from_s=3.24)))
    assert "1 worker(s) lost, and what they had not yet reported: all from 3.2 s of the run on" in found


@pytest.mark.parametrize(
    ("slo", "arrived", "due", "said"),
    [
        ("e2e_p95 < 200ms", 1, None, []),  # the lag is not inside of it
        (
            "ttft_p95 < 200ms",
            1,
            None,
            ["schedule lag p99 30 ms is above 20 ms, a tenth of an objective's limit"],
        ),
        ("errors < 1%", 90, 150, ["90 arrivals instead of about 150: the rate was not reached"]),
        ("errors < 1%", 140, 150, []),
    ],
)
def test_a_window_of_a_search_has_the_same_limits_as_a_run(slo, arrived, due, said):
    health = GeneratorHealth(loop_lag_p99_s=0.004, schedule_lag_p99_s=0.03, cpu_max=0.4)
    causes = part_causes(health, parse_objectives([slo]), arrived=arrived, due=due, by_chance=True)
    assert [sentence(cause) for cause in causes] == said


def test_only_what_the_generator_could_not_bear_is_cured_by_a_better_one():
    cured = {kind.value for kind in CauseKind if kind.is_generator}
    assert cured == {"measurement_error", "loop_lag", "schedule_lag", "think_time", "cpu", "exhausted"}
