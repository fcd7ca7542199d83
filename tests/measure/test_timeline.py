"""The timeline: nothing is lost however long the run, and what is old is kept small."""

import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrometer.measure.exchange_stats import Stats
from astrometer.measure.histogram import Histogram
from astrometer.measure.timeline import MAX_OPEN, MAX_STEPS, STEP_S, Steps


def new():
    return Steps(Stats, Stats.from_wire)


def filled(times):
    steps = new()
    for t in times:
        stats = steps.at(t)
        stats.started += 1
        stats.ok["ttft"].record(t % 7 + 0.1)
    return steps


def counted(steps):
    return {start: (stats.started, stats.ok["ttft"]) for start, stats in steps.items()}


@settings(deadline=None)
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


@settings(deadline=None)
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
    counts = steps._open[STEP_S].ok["chunk_gap"].to_wire()["counts"]
    assert start == 0
    assert len(packed) < (sys.getsizeof(counts) + 32 * len(counts)) / 5
    steps.at(1).ok["chunk_gap"].record(9.0)
    first = dict(steps.items())[0]
    assert first.ok["chunk_gap"].n == len(gaps) + 1
