"""The timeline: nothing is lost however long the run, and what is old is kept small."""

import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrometer.measure.tally.exchange_stats import Stats
from astrometer.measure.tally.histogram import Histogram
from astrometer.measure.tally.timeline import MAX_OPEN, MAX_STEPS, MOST_OPEN, STEP_S, Steps


def new():
    return Steps(Stats)


def filled(times):
    steps = new()
    for t in times:
        stats = steps.at(t)
        stats.started += 1
        stats.ok["ttft"].record(t % 7 + 0.1)
    return steps


def counted(steps):
    return {start: (stats.started, stats.ok["ttft"]) for start, stats in steps.items()}


@given(st.lists(st.integers(0, 400 * STEP_S), max_size=200), st.randoms())
def test_the_order_of_arrival_does_not_matter_and_nothing_is_lost(times, random):
    shuffled = list(times)
    random.shuffle(shuffled)
    steps = filled(times)
    assert steps.step_s == STEP_S or len(set(times)) > MAX_STEPS
    if steps.step_s == STEP_S:
        expected = Counter(t // STEP_S * STEP_S for t in times)
        assert {start: stats.started for start, stats in steps.items()} == expected
        assert counted(filled(shuffled)) == counted(steps)


@pytest.mark.parametrize("length", [MAX_STEPS, MAX_STEPS + 1, 3 * MAX_STEPS, 10 * MAX_STEPS])
def test_a_long_run_has_longer_steps_and_every_exchange(length):
    steps = filled(range(0, length * STEP_S, STEP_S))
    assert len(steps) <= MAX_STEPS
    assert sum(stats.started for _, stats in steps.items()) == length
    assert sum(stats.ok["ttft"].n for _, stats in steps.items()) == length


@given(st.lists(st.integers(0, 100 * STEP_S), max_size=60), st.integers(0, 60))
def test_parts_merge_to_the_whole_over_the_wire(times, cut):
    merged = new()
    for part in (times[:cut], times[cut:]):
        received = new()
        received.add_wire(filled(part).take().to_wire())
        merged.merge(received)
    assert counted(merged) == counted(filled(times))


def test_an_old_step_is_a_tenth_as_large_and_may_still_be_added_to():
    steps = new()
    gaps = [0.02 + n / 50_000 for n in range(2000)]
    for number in range(MAX_OPEN + 1):
        steps.at(number * STEP_S).ok["chunk_gap"].merge(Histogram(gaps))
    ((start, packed),) = steps._packed.items()
    counts = steps._open[STEP_S].ok["chunk_gap"]._counts
    assert start == 0
    assert len(packed) < (sys.getsizeof(counts) + 32 * len(counts)) / 5
    steps.at(1).ok["chunk_gap"].record(9.0)
    first = dict(steps.items())[0]
    assert first.ok["chunk_gap"].n == len(gaps) + 1


def test_a_step_that_answers_still_come_home_to_is_not_packed():
    """Each packing and unpacking takes as long as several reports of workers."""
    steps, minute = new(), 60 // STEP_S
    for newest in range(5 * minute):
        for behind in range(min(newest, minute), -1, -1):  # as a report has them
            steps.at((newest - behind) * STEP_S).started += 1
        in_use = {(newest - behind) * STEP_S for behind in range(min(newest, minute) + 1)}
        assert not in_use & set(steps._packed)
    assert len(steps._open) <= minute + 1 + MAX_OPEN
    added = sum(min(newest, minute) + 1 for newest in range(5 * minute))
    assert sum(stats.started for _, stats in steps.items()) == added
    for newest in range(5 * minute, 10 * minute):  # the answers are short again
        steps.at(newest * STEP_S)
    assert len(steps._open) == MAX_OPEN


def test_however_many_steps_are_in_use_only_some_stay_open():
    steps = filled(range(0, MAX_STEPS * STEP_S, STEP_S))
    steps.merge(filled(range(0, MAX_STEPS * STEP_S, STEP_S)))
    assert len(steps._open) <= MOST_OPEN
    assert {stats.started for _, stats in steps.items()} == {2}
