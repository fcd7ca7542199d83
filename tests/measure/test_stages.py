"""The tally by stage of the load, and the cut of a histogram into fixed buckets."""

from hypothesis import given
from hypothesis import strategies as st

from astrometer.api.outcome import Outcome
from astrometer.measure.exchange import CallResult
from astrometer.measure.histogram import Histogram
from astrometer.measure.tally import STAGE_METRICS, Tally
from astrometer.measure.windows import Window

START = 1_700_000_000.0
BORDERS = (START, START + 10, START + 30)


def fill(tally, times):
    for t in times:
        tally.started("reads", "list", t)
        tally.finished("reads", "list", t, CallResult(outcome=Outcome.OK, duration_s=0.1))
    return tally


def counts(tally):
    return {number: cell.started for number, cell in sorted(tally.stages.items())}


def test_an_exchange_belongs_to_the_stage_in_which_it_began():
    tally = fill(Tally(stages=BORDERS), [START, START + 9.9, START + 10, START + 29, START + 30, START + 500])
    assert counts(tally) == {0: 2, 1: 2, 2: 2}


def test_what_begins_before_the_first_stage_is_not_lost():
    assert counts(fill(Tally(stages=BORDERS), [START - 0.01])) == {0: 1}


def test_what_is_excluded_is_in_no_stage():
    window = Window(start=START, excluded_s=10)
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
    for number, cell in whole.stages.items():
        assert merged.stages[number].outcomes == cell.outcomes
        assert merged.stages[number].ok == cell.ok
        assert set(cell.ok) <= set(STAGE_METRICS)


@given(
    st.lists(st.floats(1e-6, 3600), max_size=200),
    st.lists(st.floats(1e-3, 300), min_size=1, max_size=12, unique=True).map(sorted),
)
def test_cumulative_counts_are_those_of_each_bound(samples, bounds):
    histogram = Histogram(samples)
    assert histogram.cumulative(bounds) == [histogram.count_at_most(bound) for bound in bounds]
