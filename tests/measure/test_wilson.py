"""Wilson's interval against published values, and at its ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrometer.measure.wilson import Proportion

Z = 1.959964


@pytest.mark.parametrize(
    ("bad", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_that_of_newcombe_1998(bad, n, low, high):
    assert Proportion(value=bad / n, n=n).wilson(Z) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 10_000), st.data())
def test_the_interval_holds_the_share_and_stays_within_zero_and_one(n, data):
    share = data.draw(st.integers(0, n)) / n
    low, high = Proportion(value=share, n=n).wilson(Z)
    assert 0 <= low <= share <= high <= 1
