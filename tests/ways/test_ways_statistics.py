"""Capacities and ratios of servers whose capacity is known, in virtual time; and what nothing is known of."""

import math

import pytest
from queue_search import SUBJECTS
from way_searches import windows_around

from astrometer.measure.capacity.capacity_interval import CapacityEstimate
from astrometer.measure.capacity.next_load import StepVerdict
from astrometer.ways.ways_statistics import (
    SearchSpread,
    WayCapacity,
    WayVerdict,
    WindowSet,
    ratio,
    verdict_of,
)

MM8, MD1 = "M/M/8, 60 s", "M/D/1, p90, 120 s"
SEEDS = 5
JUDGED = {StepVerdict.PASS: True, StepVerdict.FAIL: False}


def window_set(passing, failing=None, **more):
    return WindowSet(windows=windows_around(passing, failing or passing + 1, **more))


def compared(first, other):
    spread = SearchSpread.of([first, other])
    ways = [WayCapacity.of(searches, spread) for searches in (first, other)]
    return ways, ratio(*ways, spread)


def search_in_virtual_time(name, seed):
    subject = SUBJECTS[name]
    trials = subject.searched(seed).trials
    loads = [(subject.settings.load(trial.level), trial.verdict) for trial in trials]
    return WindowSet(windows=[(load, JUDGED[verdict]) for load, verdict in loads if verdict in JUDGED])


@pytest.mark.parametrize(
    ("first", "other", "rounds"),
    [(MM8, MD1, 1), (MM8, MD1, 2), (MD1, MM8, 1), (MD1, MD1, 3)],
)
def test_the_interval_of_a_ratio_holds_the_true_one(first, other, rounds):
    """Erlang's capacities: 28.85/s and 8.51/s."""
    truth = SUBJECTS[other].truth / SUBJECTS[first].truth
    covered = 0
    for seed in range(SEEDS):
        seeds = range(1000 * seed, 1000 * seed + rounds)
        sides = [
            [search_in_virtual_time(name, place + number) for number in seeds]
            for place, name in ((0, first), (500, other))
        ]
        (one, two), found = compared(*sides)
        covered += found.low <= truth <= found.high
        assert found.high / found.low < 2.5
        assert one.believed.middle == pytest.approx(SUBJECTS[first].truth, rel=0.15)
        assert two.believed.middle == pytest.approx(SUBJECTS[other].truth, rel=0.15)
        if first == other:
            assert verdict_of(found) in {WayVerdict.SAME, WayVerdict.CANNOT_TELL}
        else:
            assert verdict_of(found) is (WayVerdict.MORE if truth > 1 else WayVerdict.FEWER)
    assert covered >= SEEDS - 1


def test_searches_that_differ_more_than_their_windows_say_widen_the_interval():
    steady, shaky = [window_set(40), window_set(40)], [window_set(25), window_set(60)]
    assert WayCapacity.of(steady, SearchSpread.of([steady])).believed.low > 30
    apart = WayCapacity.of(shaky, SearchSpread.of([shaky])).believed
    assert apart.low < 25
    assert apart.high > 60
    _, found = compared(steady, shaky)
    assert verdict_of(found) is WayVerdict.CANNOT_TELL


def test_the_spread_is_students_over_all_ways():
    """Two ways, two searches each, all of two capacities a factor of e apart: the variance is 1/2."""
    logs = (3.0, 4.0)

    class Told(WindowSet):
        @property
        def believed(self):
            (load, _), *_ = self.windows
            return CapacityEstimate(low=load / 1.01, middle=load, high=load * 1.01)

    side = [Told(windows=[(math.exp(log), True)]) for log in logs]
    spread = SearchSpread.of([side, side])
    assert (spread.variance, spread.degrees) == (pytest.approx(0.5), 2)
    # t of two degrees is 4.3027; a ratio of two means of two has the variance of one search
    assert spread.half_width(1) == pytest.approx(4.3027 * math.sqrt(0.5), rel=1e-4)
    (one, two), found = compared(side, side)
    assert math.log(found.high) == pytest.approx(4.3027 * math.sqrt(0.5), rel=1e-4)
    assert one.believed == two.believed
    assert math.log(one.believed.high / one.believed.middle) == pytest.approx(4.3027 * 0.5, rel=1e-4)


def test_one_search_each_is_as_wide_as_its_windows_say():
    (one, _), found = compared([window_set(20)], [window_set(60)])
    assert one.believed == window_set(20).believed
    assert found.middle == pytest.approx(3, rel=0.05)
    assert verdict_of(found) is WayVerdict.MORE
    _, back = compared([window_set(60)], [window_set(20)])
    assert back.middle == pytest.approx(1 / found.middle)
    assert verdict_of(back) is WayVerdict.FEWER


def test_a_way_that_never_failed_is_at_least_so_much():
    passed = WindowSet(windows=[(load, True) for load in (1, 2, 4, 8, 16, 32, 64, 100, 100, 100)])
    (_, two), found = compared([window_set(20)], [passed])
    assert two.believed.low > 90
    assert two.believed.high is two.believed.middle is found.middle is found.high is None
    assert found.low > 3
    assert verdict_of(found) is WayVerdict.MORE


def test_a_way_that_never_passed_is_at_most_so_much():
    failed = WindowSet(windows=[(load, False) for load in (8, 4, 2, 1, 1)])
    (_, two), found = compared([window_set(20)], [failed])
    assert (two.believed.low, two.believed.middle) == (None, None)
    assert verdict_of(found) is WayVerdict.FEWER


def test_of_a_way_without_a_search_nothing_is_known():
    (_, two), found = compared([window_set(20)], [])
    assert {two.believed.low, two.believed.middle, two.believed.high} == {None}
    assert {found.low, found.middle, found.high} == {None}
    assert verdict_of(found) is WayVerdict.CANNOT_TELL


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (1.01, 2.0, WayVerdict.MORE), (0.5, 0.99, WayVerdict.FEWER), (0.96, 1.04, WayVerdict.SAME),
        (0.9, 1.1, WayVerdict.CANNOT_TELL), (None, 0.9, WayVerdict.FEWER), (1.1, None, WayVerdict.MORE),
        (1.01, 1.04, WayVerdict.SAME), (None, None, WayVerdict.CANNOT_TELL),
        (0.9, None, WayVerdict.CANNOT_TELL),
    ],
)  # fmt: skip
def test_a_verdict_is_what_the_whole_interval_says(low, high, verdict):
    assert verdict_of(CapacityEstimate(low=low, middle=None, high=high)) is verdict
