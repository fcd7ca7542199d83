"""The tally by stage of the load, and the cut of a histogram into fixed buckets."""

from dataclasses import replace

import pytest
from causes import sentences
from hypothesis import given
from hypothesis import strategies as st

from astrometer.api.call_exchange import CallResult
from astrometer.api.outcome import Outcome
from astrometer.measure.results.document import build
from astrometer.measure.results.run_info import RunInfo
from astrometer.measure.slo.slo_parser import parse_objectives
from astrometer.measure.slo.stages import LoadStage
from astrometer.measure.slo.validity import OpenArrivals
from astrometer.measure.tally.histogram import Histogram
from astrometer.measure.tally.tally import STAGE_METRICS, Tally
from astrometer.measure.tally.windows import Window

START = 0.0  # since the run began
BORDERS = (START, START + 10, START + 30)


def fill(tally, times):
    for t in times:
        tally.started("reads", "list", t)
        tally.finished("reads", "list", t, CallResult(outcome=Outcome.OK, duration_s=0.1))
    return tally


def counts(tally):
    return {number: stats.started for number, stats in sorted(tally.stages.items())}


def test_an_exchange_belongs_to_the_stage_in_which_it_began():
    tally = fill(Tally(stages=BORDERS), [START, START + 9.9, START + 10, START + 29, START + 30, START + 500])
    assert counts(tally) == {0: 2, 1: 2, 2: 2}


def test_what_begins_before_the_first_stage_is_not_lost():
    assert counts(fill(Tally(stages=BORDERS), [START - 0.01])) == {0: 1}


def test_what_is_excluded_is_in_no_stage():
    window = Window(excluded_s=10)
    tally = fill(Tally(window=window, stages=BORDERS), [START + 5, START + 15])
    assert counts(tally) == {1: 1}


def test_without_stages_nothing_is_kept_twice():
    assert counts(fill(Tally(), [START, START + 20])) == {}


@given(st.lists(st.floats(START - 5, START + 60), max_size=60), st.integers(0, 60))
def test_stages_of_two_processes_add_up_over_the_wire(times, cut):
    whole = fill(Tally(stages=BORDERS), times)
    merged = Tally(stages=BORDERS)
    for part in (times[:cut], times[cut:]):
        worker = fill(Tally(stages=BORDERS), part)
        merged.merge(Tally.decode(worker.take().encode()))
        assert counts(worker) == {}
    assert counts(merged) == counts(whole)
    assert sum(counts(merged).values()) == len(times) == merged.total().started
    for number, stats in whole.stages.items():
        assert merged.stages[number].outcomes == stats.outcomes
        assert merged.stages[number].ok == stats.ok
        assert set(stats.ok) <= set(STAGE_METRICS)


def arrived(*counts, process="constant", late_s=0.0, dropped=0, **stage):
    """Stages of ten seconds with so many arrivals; `stage`: what else is known of the second."""
    borders = [START + 10 * number for number in range(len(counts))]
    tally = Tally(stages=borders)
    for border, count in zip(borders, counts, strict=True):
        for number in range(count):
            t, outcome = border + number * 10 / count, Outcome.DROPPED if number < dropped else Outcome.OK
            late = late_s if border == borders[1] else 0.0
            tally.started("reads", "list", t)
            result = CallResult(outcome=outcome, duration_s=0.1, t_send=t + late, t_intended=t)
            tally.finished("reads", "list", t, result)
    stages = [
        LoadStage(name=f"step {n + 1}", start_s=10 * n, end_s=10 * n + 10, peak=10, is_rate=True, due=100)
        for n in range(len(counts))
    ]
    stages[1] = replace(stages[1], **stage)
    total = sum(counts)
    arrivals = OpenArrivals(process=process, seed=1, rate_per_s=10, expected=total, intended=total)
    duration_s = 10.0 * len(counts)
    objectives = parse_objectives(["errors < 99%"])
    info = RunInfo(
        scenario="s", url="u", start=START, duration_s=duration_s, arrivals=arrivals, stages=stages,
        objectives=objectives,
    )  # fmt: skip
    return build(tally, info)


@pytest.mark.parametrize(
    ("spoilt", "cause"),
    [
        ({"loop_lag_p99_s": 0.1}, "event-loop lag p99 100 ms is above 20 ms"),
        ({"late_s": 0.2}, "schedule lag p99 200 ms is above 50 ms"),
        ({"due": 120}, "100 arrivals instead of about 120: the rate was not reached"),
    ],
)
def test_a_stage_in_which_the_generator_was_the_bottleneck_makes_the_run_invalid_and_is_named(spoilt, cause):
    late = spoilt.pop("late_s", 0.0)
    # Long enough around it that nothing of it shows in the whole run.
    found = arrived(10_100, 100, 10_100, late_s=late, **spoilt)
    assert found["verdict"] == "INVALID"
    assert sentences(found) == [f"stage 'step 2': {cause}"]
    assert [sentences(stage) for stage in found["stages"]] == [[], [cause], []]
    assert [stage["objectives"][0]["verdict"] for stage in found["stages"]] == ["PASS", "INVALID", "PASS"]


def test_a_stage_too_short_for_a_percentile_is_invalid_alone():
    found = arrived(100, 50, 100, loop_lag_p99_s=0.1, end_s=15.0, due=50)
    assert found["verdict"] == "PASS"
    assert [len(stage["causes"]) for stage in found["stages"]] == [0, 1, 0]
    assert found["stages"][1]["objectives"][0]["verdict"] == "INVALID"


def test_arrivals_that_were_dropped_were_made_and_chance_is_granted_to_poisson():
    assert arrived(100, 100, dropped=50)["verdict"] == "PASS"
    assert arrived(100, 90, process="poisson")["verdict"] == "PASS"
    assert arrived(100, 90, process="constant")["verdict"] == "INVALID"


@given(
    st.lists(st.floats(1e-6, 3600), max_size=200),
    st.lists(st.floats(1e-3, 300), min_size=1, max_size=12, unique=True).map(sorted),
)
def test_cumulative_counts_are_those_of_each_bound(samples, bounds):
    histogram = Histogram(samples)
    assert histogram.cumulative(bounds) == [histogram.count_at_most(bound) for bound in bounds]
