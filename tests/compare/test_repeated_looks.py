"""Intervals that hold however often one looks: against published bounds, and by simulation."""

import math
import random
from statistics import NormalDist

import pytest

from astrometer.compare.repeated_looks import FEWEST_PAIRS, Look, bounds, paired_change, power_spending

NORMAL = NormalDist()


def obrien_fleming(chance, share):
    return 2 - 2 * NORMAL.cdf(NORMAL.inv_cdf(1 - chance / 2) / math.sqrt(share))


def pocock(chance, share):
    return chance * math.log(1 + (math.e - 1) * share)


@pytest.mark.parametrize(
    ("spending", "published"),
    [  # five looks, one-sided 0.025: Lan & DeMets 1983; Jennison & Turnbull 2000, chapter 7
        (obrien_fleming, [4.877, 3.357, 2.680, 2.290, 2.031]),
        (pocock, [2.438, 2.427, 2.410, 2.397, 2.386]),
    ],
)
def test_the_bounds_are_those_that_were_published(spending, published):
    assert bounds(0.025, range(1, 6), 5, spending) == pytest.approx(published, abs=0.002)


def test_a_single_look_at_the_end_spends_all():
    assert bounds(0.025, [8], 8) == pytest.approx([1.96], abs=0.001)
    assert Look(pairs=3, planned=3).level(0.025) == pytest.approx(0.025, rel=0.01)


def test_levels_grow_with_the_looks_and_come_back_from_their_p_values():
    looks = [Look(pairs=pairs, planned=14) for pairs in range(FEWEST_PAIRS, 15)]
    levels = [look.level(0.025) for look in looks]
    assert levels == sorted(levels)
    assert sum(levels) > 0.025 > max(levels)  # less than all of it each time, more than an equal share
    for look in looks:
        for chance in (2e-5, 0.004, 0.025, 0.3):
            assert look.overall(look.level(chance)) == pytest.approx(chance, rel=1e-6)
    assert levels[0] == pytest.approx(power_spending(0.025, 3 / 14), rel=0.01)


@pytest.mark.parametrize(("planned", "looks"), [(3, 1), (14, 12), (22, 20), (60, 20), (200, 21)])
def test_a_long_plan_has_no_more_looks_than_a_short_one(planned, looks):
    end = Look(pairs=planned, planned=planned)
    assert end.number == looks
    assert Look(pairs=2, planned=planned).number == 0
    assert all(Look(pairs=pairs, planned=planned).is_due for pairs in end.times[:-1])
    assert end.is_due


def test_a_look_that_was_not_planned_spends_what_is_due_by_then():
    unplanned = Look(pairs=35, planned=60)
    assert not unplanned.is_due
    due = [Look(pairs=pairs, planned=60).level(0.025) for pairs in (33, 36)]
    assert unplanned.level(0.025) < due[1]


def ever_missed(rng, planned, spread):
    """Whether the interval of any look leaves out the truth, which is no change."""
    drawn = [math.exp(rng.gauss(0, spread)) for _ in range(planned)]
    for pairs in range(FEWEST_PAIRS, planned + 1):
        _, belief = paired_change([1.0] * pairs, drawn[:pairs], Look(pairs=pairs, planned=planned))
        if belief.quantile(0.025) > 0 or belief.quantile(0.975) < 0:
            return True
    return False


@pytest.mark.parametrize("spread", [0.02, 0.2])
def test_with_eight_looks_the_truth_is_left_out_in_some_five_of_a_hundred_sessions(spread):
    rng = random.Random(4)
    missed = sum(ever_missed(rng, 10, spread) for _ in range(500))
    assert 0.025 < missed / 500 < 0.085  # looking with plain Student intervals misses in 15 of 100


def test_with_plain_intervals_looking_misses_three_times_as_often():
    rng, missed = random.Random(4), 0
    for _ in range(300):
        drawn = [math.exp(rng.gauss(0, 0.05)) for _ in range(10)]
        looks = [paired_change([1.0] * n, drawn[:n], Look(pairs=n, planned=10))[1].once for n in range(3, 11)]
        missed += any(look.quantile(0.025) > 0 or look.quantile(0.975) < 0 for look in looks)
    assert missed / 300 > 0.12


def test_two_pairs_or_an_infinite_block_say_nothing():
    for base, cand in (([1.0, 1.0], [1.1, 1.1]), ([1.0] * 4, [1.1, math.inf, 1.1, 1.1])):
        _, belief = paired_change(base, cand, Look(pairs=len(base), planned=8))
        assert (belief.quantile(0.025), belief.quantile(0.975)) == (-math.inf, math.inf)
