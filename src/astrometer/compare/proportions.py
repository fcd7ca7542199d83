"""Counts of runs -> a share with its interval (Wilson), and how much it changed (Newcombe), run by run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

from astrometer.compare import student
from astrometer.compare.bootstrap import between_variance
from astrometer.measure.wilson import Proportion

_NORMAL = NormalDist()
_Z = _NORMAL.inv_cdf(0.975)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Candidate minus baseline, by Newcombe's hybrid score method (1998, method 10)."""

    base: Proportion
    cand: Proportion

    @property
    def value(self) -> float:
        return self.cand.value - self.base.value

    def quantile(self, share: float) -> float:
        z = abs(_NORMAL.inv_cdf(share))
        before, after = self.base.wilson(z), self.cand.wilson(z)
        p, q = self.base.value, self.cand.value
        if share < 0.5:
            return self.value - math.hypot(q - after.low, before.high - p)
        return self.value + math.hypot(after.high - q, p - before.low)

    def cdf(self, value: float) -> float:
        """The share whose quantile is `value`."""
        low, high = 1e-9, 1 - 1e-9
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.quantile(middle) < value else (low, middle)
        return (low + high) / 2


def difference(base: Sequence[tuple[int, int]], cand: Sequence[tuple[int, int]]) -> Difference:
    """(how many, of how many) of each run -> the change of a typical run's share.

    Where runs differ by more than chance, fewer exchanges count as independent, and few runs count as few
    (Korn & Graubard 1998).
    """
    sides = [[count / n for count, n in side] for side in (base, cand)]
    numbers = [sum(n for _, n in side) for side in (base, cand)]
    deflation = 1.0
    degrees = len(base) + len(cand) - 2
    binomial = sum(fmean(side) * (1 - fmean(side)) / n for side, n in zip(sides, numbers, strict=True))
    if degrees and binomial:
        effect = between_variance(sides) / binomial
        if effect > 1:
            deflation = effect * (student.quantile(0.975, degrees) / _Z) ** 2
    shares = [
        Proportion(value=fmean(side), n=max(1.0, n / deflation))
        for side, n in zip(sides, numbers, strict=True)
    ]
    return Difference(base=shares[0], cand=shares[1])
