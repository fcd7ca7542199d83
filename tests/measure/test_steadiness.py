"""The tests for trend and level, held against published arithmetic and against chance."""

import math
import random

import pytest
from steady_series import alike

from astrometer.measure.steadiness import inflation, shift, trend, warm_up


def test_a_straight_line_is_a_trend_of_its_slope():
    found = trend([2.0 + 0.5 * place for place in range(30)])
    assert (found.slope, found.begin) == (pytest.approx(0.5), pytest.approx(2.0))
    assert found.chance < 1e-9


def test_kendalls_score_of_independent_values_has_its_published_deviation():
    """n (n - 1) (2n + 5) / 18, and a continuity correction of 1 (Kendall 1975)."""
    values = [1, 3, 2, 5, 4, 6, 8, 7, 10, 9]  # 45 pairs, 4 of them fall: S = 37
    rest = [value - trend(values).slope * place for place, value in enumerate(values)]
    z = (37 - 1) / math.sqrt(10 * 9 * 25 / 18 * inflation(rest))
    assert trend(values).chance == pytest.approx(math.erfc(z / math.sqrt(2)), rel=1e-6)


def test_a_shift_is_found_where_it_is():
    rng = random.Random(2)
    found = shift([rng.gauss(1.0, 0.1) + (0.5 if place >= 20 else 0) for place in range(48)])
    assert (found.at, found.chance < 1e-4) == (20, True)
    assert found.after - found.before == pytest.approx(0.5, abs=0.1)


def test_what_never_changes_is_steady():
    assert trend([3.0] * 30).chance == 1.0
    assert shift([3.0] * 30).chance == 1.0


def test_the_begin_that_makes_the_mean_less_certain_is_warm_up():
    rng = random.Random(3)
    steady = [1 + rng.gauss(0, 0.02) for _ in range(40)]
    assert warm_up([3.0, 2.5, 2.0, 1.5, *steady]) == 4
    assert warm_up([0.1, 0.5, *steady]) == 2  # whichever way: the value does not matter
    assert warm_up([float(place) for place in range(40)]) is None


@pytest.mark.parametrize("r", [0.0, 0.5, 0.8])
def test_correlated_values_count_as_fewer(r):
    """Of a series with correlation r, n/n* is (1 + r) / (1 - r)."""
    rng = random.Random(4)
    found = sorted(inflation(alike(60, r, rng)) for _ in range(60))[30]
    assert found == pytest.approx((1 + r) / (1 - r), rel=0.5)


def test_half_of_the_correlated_series_would_be_called_a_trend_without_that():
    """1 in 1,000 is asked for; without the correction it is one in four at r = 0.8."""
    rng = random.Random(6)
    alarms = sum(trend(alike(40, 0.8, rng)).chance < 0.001 for _ in range(100))
    assert alarms <= 4
