"""Intervals against published numbers, and against truth by drawing many times."""

import math
import random

import pytest

from astrometer.compare import student
from astrometer.compare.bootstrap import Ecdf, Sample, design_effect, log_change, superiority
from astrometer.compare.proportions import difference
from astrometer.measure.tally.histogram import Histogram
from astrometer.measure.wilson import Proportion


@pytest.mark.parametrize(
    ("degrees", "critical"), [(1, 12.706), (2, 4.303), (4, 2.776), (10, 2.228), (30, 2.042), (1000, 1.962)]
)
def test_students_t_has_the_quantiles_of_the_printed_table(degrees, critical):
    assert student.quantile(0.975, degrees) == pytest.approx(critical, abs=5e-4)
    assert student.quantile(0.025, degrees) == pytest.approx(-critical, abs=5e-4)
    assert student.cdf(critical, degrees) == pytest.approx(0.975, abs=1e-4)


def test_wilsons_interval_is_that_of_newcombe_1998():
    low, high = Proportion(value=81 / 263, n=263).wilson(1.959964)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


@pytest.mark.parametrize(
    ("one", "two", "low", "high"),
    [  # Newcombe 1998, table II, method 10; candidate minus baseline
        ((48, 80), (56, 70), 0.0524, 0.3339),
        ((3, 10), (9, 10), 0.1705, 0.8090),
        ((0, 29), (5, 56), -0.0381, 0.1926),
        ((0, 10), (10, 10), 0.6075, 1.0),
    ],
)
def test_newcombes_interval_is_that_of_his_table(one, two, low, high):
    found = difference([one], [two])
    assert round(found.quantile(0.025), 4) == pytest.approx(low, abs=2e-4)
    assert round(found.quantile(0.975), 4) == pytest.approx(high, abs=2e-4)
    assert found.cdf(found.quantile(0.2)) == pytest.approx(0.2, abs=1e-6)


def test_runs_that_differ_widen_the_interval_of_a_share():
    alike = difference([(10, 100)] * 3, [(10, 100)] * 3)
    unlike = difference([(0, 100), (10, 100), (20, 100)], [(0, 100), (10, 100), (20, 100)])
    assert alike.value == unlike.value == 0
    assert unlike.quantile(0.975) > 2 * alike.quantile(0.975)


def drawn(rng, *, factor=1.0, n=120, jitter=0.1, noise=0.0):
    run = 0.3 * factor * math.exp(rng.gauss(0, noise))
    return Sample(ecdf=Ecdf(Histogram(run * rng.lognormvariate(0, jitter) for _ in range(n))), n=n)


@pytest.mark.parametrize(("runs", "noise"), [(1, 0.0), (3, 0.03)])
def test_the_truth_is_in_nineteen_of_twenty_intervals(runs, noise):
    rng = random.Random(5)
    inside = 0
    for _ in range(30):
        base = [drawn(rng, noise=noise) for _ in range(runs)]
        cand = [drawn(rng, factor=1.15, noise=noise) for _ in range(runs)]
        _, belief = log_change(base, cand, 50, rng)
        inside += belief.quantile(0.025) <= math.log(1.15) <= belief.quantile(0.975)
    assert inside >= 25  # 28.5 expected; below 25 by chance once in 300


def test_a_single_run_knows_nothing_of_what_differs_from_run_to_run():
    """The reason to repeat: the interval of one pair leaves the truth out far too often."""
    rng = random.Random(5)
    outside = 0
    for _ in range(20):
        _, belief = log_change([drawn(rng, noise=0.05)], [drawn(rng, noise=0.05)], 50, rng)
        outside += not belief.quantile(0.025) <= 0 <= belief.quantile(0.975)
    assert outside >= 6  # one were right; 12 or 13 are expected


def test_the_bootstrap_of_a_median_is_as_wide_as_theory_says():
    rng = random.Random(3)
    sample = drawn(rng, n=1000, jitter=0.1)
    draws = [math.log(value) for value in sample.draws(50, 3000, rng)]
    mean = sum(draws) / len(draws)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in draws) / len(draws))
    assert deviation == pytest.approx(1.2533 * 0.1 / math.sqrt(1000), rel=0.35)


def test_failures_are_above_every_finite_sample():
    histogram = Histogram([0.1] * 90)
    histogram.record(math.inf, 10)
    ecdf = Ecdf(histogram)
    assert ecdf.inverse(0.9) == pytest.approx(0.1, rel=1e-3)
    assert ecdf.inverse(0.91) == math.inf
    assert ecdf.share_at_most(math.inf) == 0.9


def test_the_effect_size_is_the_chance_that_the_candidate_is_slower():
    slow, fast = Ecdf(Histogram([0.5] * 50)), Ecdf(Histogram([0.1] * 80))
    failing = Histogram([0.1] * 5)
    failing.record(math.inf, 5)
    assert superiority([fast], [slow]) == 1
    assert superiority([slow], [fast]) == 0
    assert superiority([fast], [fast]) == 0.5
    assert superiority([fast], [Ecdf(failing)]) == pytest.approx(0.75)
    assert superiority([Ecdf(failing)], [Ecdf(failing)]) == pytest.approx(0.5)


def test_bursts_of_noise_make_fewer_samples_count():
    rng = random.Random(9)
    steady = [Histogram(rng.lognormvariate(-1, 0.1) for _ in range(50)) for _ in range(12)]
    bursts = [
        Histogram((1.5 if i % 3 == 0 else 1) * rng.lognormvariate(-1, 0.1) for _ in range(50))
        for i in range(12)
    ]
    assert design_effect(steady, 50) < 3
    assert design_effect(bursts, 50) > 8
    assert design_effect(steady[:3], 50) == 1  # too few to tell
