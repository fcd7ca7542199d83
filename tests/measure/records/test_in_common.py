"""What the slow ones share: found when it is there, and not made up when it is not."""

import math
import random
from collections import Counter

import pytest

from astrometer.measure.records.in_common import in_common, tail


def chances(slow_n, marked, n):
    return [
        math.comb(marked, count) * math.comb(n - marked, slow_n - count) / math.comb(n, slow_n)
        for count in range(min(slow_n, marked) + 1)
    ]


@pytest.mark.parametrize(
    ("at_least", "slow_n", "marked", "n"), [(0, 5, 9, 30), (3, 10, 12, 40), (9, 10, 39, 40)]
)
def test_a_tail_is_the_sum_of_its_chances(at_least, slow_n, marked, n):
    expected = sum(chances(slow_n, marked, n)[at_least:])
    assert tail(at_least, slow_n=slow_n, marked=marked, n=n) == pytest.approx(expected)


def test_what_half_of_the_slow_and_a_tenth_of_all_are_is_in_common():
    (found,) = in_common(
        {("turn", "7"): 50, ("way", "SSE"): 100}, {("turn", "7"): 1000, ("way", "SSE"): 10_000}, 100, 10_000
    )
    assert (found.trait, found.slow_share, found.share) == (("turn", "7"), 0.5, 0.1)


def test_chance_alone_is_reported_in_few_of_many_runs():
    """200 runs of 2,000 exchanges with 40 traits that have nothing to do with slowness: 1 % is promised."""
    random.seed(5)
    alarms = 0
    for _ in range(200):
        traits = [("user", str(random.randrange(40))) for _ in range(2000)]
        slow = Counter(random.sample(traits, 20))
        alarms += bool(in_common(slow, Counter(traits), 20, 2000))
    assert alarms <= 6
