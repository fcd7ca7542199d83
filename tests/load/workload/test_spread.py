"""Equal shares keep the mean, and what is drawn from them has it again."""

import random
import statistics

import pytest

from astrometer.load.workload.spread import SHARES, Spread


def test_shares_keep_mean_and_quantiles_and_no_single_value():
    rng = random.Random(5)
    numbers = [rng.lognormvariate(3, 1) for _ in range(20_000)]
    spread = Spread.of(numbers)
    assert len(spread.values) == SHARES
    assert spread.mean == pytest.approx(statistics.mean(numbers))
    for share in (0.05, 0.5, 0.95, 0.98):
        assert spread.quantile(share) == pytest.approx(sorted(numbers)[int(share * 20_000)], rel=0.1)
    assert not {*spread.values} & {*numbers}
    drawn = [spread.draw(rng) for _ in range(20_000)]
    assert statistics.mean(drawn) == pytest.approx(spread.mean, rel=0.05)


def test_whole_numbers_keep_the_mean_of_what_is_not_whole():
    rng = random.Random(5)
    spread = Spread((1.0, 2.5, 7.25))
    drawn = [spread.draw_whole(rng) for _ in range(20_000)]
    assert statistics.mean(drawn) == pytest.approx(spread.mean, rel=0.02)
    assert {*drawn} == {1, 2, 3, 7, 8}


def test_the_rest_of_what_is_met_is_half_of_a_long_one():
    """Renewal theory: what is left of a pause that one falls into is E[P²] / 2E[P], on average."""
    rng = random.Random(5)
    rests = [Spread((1.0, 9.0)).draw_rest(rng) for _ in range(20_000)]
    assert statistics.mean(rests) == pytest.approx((1 + 81) / 2 / (2 * 5), rel=0.03)
    assert Spread((0.0,)).draw_rest(rng) == 0.0


def test_nothing_has_no_spread():
    assert Spread.of([]) is None
