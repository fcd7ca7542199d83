from dataclasses import replace

import pytest

from astrometer.api.call_exchange import CallResult
from astrometer.api.outcome import Outcome
from astrometer.measure.capacity.search import Told
from astrometer.measure.capacity.search_settings import SearchSettings
from astrometer.measure.capacity.search_step import Step, StepHealth, spoilt
from astrometer.measure.results.document import build
from astrometer.measure.results.run_info import GeneratorHealth, OpenArrivals, RunInfo
from astrometer.measure.slo.slo_parser import parse_objectives
from astrometer.measure.slo.validity import MAX_SCHEDULE_LAG_S, schedule_lag_limit_s
from astrometer.measure.tally import Cell, Tally

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("texts", "limit_s"),
    [
        ([], MAX_SCHEDULE_LAG_S),
        (["ttft_p95 < 200ms"], 0.02),
        (["ttft_p95 < 2s", "e2e_effective_p99 < 100ms"], 0.01),
        (["ttft_effective_max < 10s"], MAX_SCHEDULE_LAG_S),
        (["chunk_gap_p99 < 100ms", "errors < 1%"], MAX_SCHEDULE_LAG_S),  # lateness spoils neither
        (["ttft_p50 > 10ms"], MAX_SCHEDULE_LAG_S),  # no upper limit
    ],
)
def test_the_generator_may_be_late_by_a_tenth_of_the_strictest_objective(texts, limit_s):
    assert schedule_lag_limit_s(parse_objectives(texts)) == pytest.approx(limit_s)


def causes(health):
    tally = Tally()
    tally.started("s", "op", NOW)
    tally.finished("s", "op", NOW, CallResult(outcome=Outcome.OK, duration_s=0.1))
    return build(tally, RunInfo(scenario="s", url="u", start=NOW, duration_s=1.0, generator=health))["causes"]


def test_a_lag_that_is_harmless_otherwise_makes_a_run_with_a_strict_objective_invalid():
    late = {"schedule_lag_p99_s": 0.03}
    assert not [cause for cause in causes(GeneratorHealth(**late)) if "schedule lag" in cause]
    (cause,) = [c for c in causes(GeneratorHealth(**late, schedule_lag_limit_s=0.02)) if "schedule lag" in c]
    assert cause == "schedule lag p99 30 ms is above 20 ms, a tenth of an objective's limit"


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


@pytest.mark.parametrize(
    ("process", "expected", "intended", "short"),
    CHANCES,
)
def test_chance_excuses_missing_arrivals_only_where_there_is_chance(process, expected, intended, short):
    arrivals = OpenArrivals(process=process, seed=1, rate_per_s=1.0, expected=expected, intended=intended)
    assert arrivals.fell_short is short


def test_a_window_of_a_search_is_held_against_its_rate_in_the_same_way():
    search = SearchSettings.parse("1/s..20/s step 10s")
    cell = Cell(started=90)  # of 100, at 10/s
    step = Step(level=200, start_s=0.0, end_s=10.0, told=Told.PASS, cells={None: cell}, completed=0)
    assert spoilt(step, search, [], by_chance=True) == []
    assert "the rate was not reached" in spoilt(step, search, [], by_chance=False)[0]


def test_a_lost_worker_is_reported_with_the_time_from_which_on_it_is_missing():
    found = causes(GeneratorHealth(lost_workers=1, lost_from_s=3.24))
    assert "1 worker(s) lost, and what they had not yet reported: all from 3.2 s of the run on" in found


@pytest.mark.parametrize(
    ("search", "slo", "started", "words"),
    [
        ("1..9", "e2e_p95 < 200ms", 1, []),  # the lag is not inside of it
        (
            "1..9",
            "ttft_p95 < 200ms",
            1,
            ["schedule lag p99 30 ms is above 20 ms, a tenth of an objective's limit"],
        ),
        ("5/s..9/s", "errors < 1%", 90, ["90 arrivals instead of about 150: the rate was not reached"]),
        ("5/s..9/s", "errors < 1%", 140, []),
    ],
)
def test_a_window_of_a_search_has_the_same_limits_as_a_run(search, slo, started, words):
    settings = SearchSettings.parse(search)
    step = Step(
        level=settings.plan.start, start_s=0, end_s=30, told=Told.PASS, cells={None: Cell(started=started)},
        completed=1, health=StepHealth(loop_lag_p99_s=0.004, schedule_lag_p99_s=0.03, cpu_max=0.4),
    )  # fmt: skip
    assert spoilt(step, settings, parse_objectives([slo])) == words
