"""Histograms of runs -> how uncertain a percentile is, and how much it changed between two sides.

The bootstrap of a percentile needs no resampling: in a resample of n, the k-th order statistic has the rank
U ~ Beta(k, n - k + 1), which is put through the inverse of the empirical distribution (Efron & Tibshirani
1993, section 17.2; exact within the precision of the histogram). Samples of one run are not independent: `n`
is an effective one, divided by a design effect (Woodruff 1952; Kish 1965).

With several runs a run is what is repeated, and the interval comes from how much runs differ. Resampling two
to five runs gives intervals that are too narrow (of three runs it covers some 80 % where it says 95 %), so
the spread between runs goes into a Student t interval, which is never narrower than what the bootstrap within
runs gives.
"""

import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import fmean
from typing import Protocol

from astrometer.compare.student import Student
from astrometer.measure.tally.histogram import Histogram

DRAWS = 4000  # for an interval: p-values down to 1/4000
DRAWS_WITHIN = 400  # for a variance
# A percentile cannot be known better than its histogram's buckets are wide (3 digits).
LEAST_SCALE = 1e-3 / math.sqrt(12)


class Distribution(Protocol):
    """What is believed of a quantity: its quantiles, and how much lies below a value."""

    def quantile(self, share: float) -> float: ...
    def cdf(self, value: float) -> float: ...


class Draws:
    def __init__(self, values: Sequence[float]) -> None:
        self._values = sorted(values)

    def quantile(self, share: float) -> float:
        rank = math.ceil(round(share * len(self._values), 6))
        return self._values[min(len(self._values), max(1, rank)) - 1]

    def cdf(self, value: float) -> float:
        # Never 0 nor 1: beyond the draws nothing is known (Davison & Hinkley 1997, section 4.2.5).
        return (bisect_right(self._values, value) + 0.5) / (len(self._values) + 1)


class Ecdf:
    """A histogram as a function: value -> share, and back. Infinite samples are above all others."""

    __slots__ = ("_counts", "_highs", "n")

    def __init__(self, histogram: Histogram) -> None:
        buckets = histogram.buckets()
        self._highs = [high for _, high, _ in buckets]
        self._counts = list(accumulate(count for _, _, count in buckets))
        self.n = histogram.n

    def inverse(self, share: float) -> float:
        """The smallest value that `share` of the samples do not exceed."""
        at = bisect_left(self._counts, share * self.n - 1e-9)
        return self._highs[at] if at < len(self._highs) else math.inf

    def share_at_most(self, value: float) -> float:
        at = bisect_right(self._highs, value)
        return self._counts[at - 1] / self.n if at else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A metric of one run. `n` is the effective number of independent samples, at most that of the ECDF."""

    ecdf: Ecdf
    n: float

    @property
    def failed(self) -> float:
        """The share of infinite samples."""
        return 1 - self.ecdf.share_at_most(math.inf)

    def percentile(self, percent: float) -> float:
        return self.ecdf.inverse(percent / 100)

    def draws(self, percent: float, number: int, rng: random.Random) -> list[float]:
        """Percentiles of bootstrap resamples."""
        n = max(1.0, self.n)
        rank = max(1, math.ceil(round(percent / 100 * self.ecdf.n, 6)))
        k = min(n, max(0.5, rank * n / self.ecdf.n))
        return [self.ecdf.inverse(rng.betavariate(k, n - k + 1)) for _ in range(number)]


def log_change(
    base: Sequence[Sample], cand: Sequence[Sample], percent: float, rng: random.Random
) -> tuple[float, Distribution]:
    """The logarithm of candidate / baseline of a percentile of a typical run, and what is believed of it.

    The typical run's percentile is the geometric mean of the runs' percentiles. `nan` when both sides are
    infinite.
    """
    sides = [[_log(sample.percentile(percent)) for sample in side] for side in (base, cand)]
    change = fmean(sides[1]) - fmean(sides[0])
    if len(base) == len(cand) == 1:
        pairs = zip(base[0].draws(percent, DRAWS, rng), cand[0].draws(percent, DRAWS, rng), strict=True)
        drawn = [_log(after) - _log(before) for before, after in pairs]
        return change, Draws([0.0 if math.isnan(value) else value for value in drawn])
    degrees = len(base) + len(cand) - 2
    if any(math.isinf(value) for side in sides for value in side):
        return change, Student(center=0.0, scale=math.inf, degrees=degrees)
    within = sum(
        _variance([_log(value) for value in sample.draws(percent, DRAWS_WITHIN, rng)]) / len(side) ** 2
        for side in (base, cand)
        for sample in side
    )
    scale = math.sqrt(max(between_variance(sides), within, LEAST_SCALE**2))
    return change, Student(center=change, scale=scale, degrees=degrees)


def between_variance(sides: Sequence[Sequence[float]]) -> float:
    """The variance of the difference of the sides' means, from how much the runs of a side differ.

    Pooled over the sides: both ran on the same machine. Needs more than one run on a side.
    """
    degrees = sum(len(side) - 1 for side in sides)
    squares = sum((value - fmean(side)) ** 2 for side in sides for value in side)
    return squares / degrees * sum(1 / len(side) for side in sides)


def superiority(base: Sequence[Ecdf], cand: Sequence[Ecdf]) -> float:
    """P(a sample of the candidate is above one of the baseline), ties half; runs weigh alike.

    The effect size in plain words: 0.5 means no difference (Vargha & Delaney 2000).
    """
    return fmean(_above(before, after) for before in base for after in cand)


def paired_superiority(base: Sequence[Ecdf], cand: Sequence[Ecdf]) -> float:
    """The same of blocks that were measured pair by pair."""
    return fmean(_above(before, after) for before, after in zip(base, cand, strict=True))


def _above(base: Ecdf, cand: Ecdf) -> float:
    total, before = 0.0, 0
    for high, cumulative in zip(cand._highs, cand._counts, strict=True):  # noqa: SLF001 (its own class)
        at_most = base.share_at_most(high)
        below = base.share_at_most(math.nextafter(high, 0))
        total += (cumulative - before) * (at_most + below) / 2
        before = cumulative
    failed, base_failed = cand.n - before, 1 - base.share_at_most(math.inf)
    return (total + failed * (1 - base_failed / 2)) / cand.n


def design_effect(steps: Sequence[Histogram], percent: float) -> float:
    """How many times the variance of a percentile grows because samples close in time are alike.

    `steps`: the samples of a run by when they began. 1.0 when there are too few steps to tell.
    """
    kept = [Ecdf(step) for step in steps if step.n]
    total = sum(step.n for step in kept)
    share = percent / 100
    if len(kept) < 6 or total * (1 - share) < 5:
        return 1.0
    whole = Histogram()
    for step in steps:
        whole.merge(step)
    at = Ecdf(whole).inverse(share)
    squares = sum((step.n * (step.share_at_most(at) - share)) ** 2 for step in kept)
    clustered = squares / total**2 * len(kept) / (len(kept) - 1)
    return max(1.0, clustered / (share * (1 - share) / total))


def _log(value: float) -> float:
    return math.log(max(value, 1e-6))


def _variance(values: Sequence[float]) -> float:
    if any(math.isinf(value) for value in values):
        return math.inf
    mean = fmean(values)
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1)
