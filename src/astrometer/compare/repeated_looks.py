"""Differences of paired blocks -> intervals that hold at every look, however the looks end. Pure.

Who looks after each pair and stops when the interval pleases is wrong far more often than the 5 % of a single
look. A repeated confidence interval (Jennison & Turnbull 1989; 2000, chapter 9) holds at all looks together:
the chance of error of each bound is spent over the looks (Lan & DeMets 1983), here t^2 of it by the share t
of the planned pairs (Kim & DeMets 1987), and the bounds come from the recursion of Armitage, McPherson and
Rowe (1969) for normal sums. The spread is not known, so the level of a look goes into Student's t (the
significance level approach, Jennison & Turnbull 2000, section 3.8): the chance of all looks together is then
up to half above what was asked for (bench/RESULTS.md). When to look depends on the plan alone, never on
what was seen. To end sooner than planned leaves chance unspent.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from statistics import fmean, variance

from astrometer.compare.bootstrap import LEAST_SCALE, Distribution
from astrometer.compare.student import Student

FEWEST_PAIRS = 3  # before them Student's t is too wide to decide anything
MOST_LOOKS = 20  # of a long plan, evenly spaced
_STEP = 0.25  # of the recursion's grid, in standard deviations of what is new at a look
_FAR = 6.0  # standard deviations beyond which nothing counts
# For these the bounds are computed; between them levels are interpolated.
_CHANCES = (1e-5, 1e-4, 1e-3, 3e-3, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5)

Spending = Callable[[float, float], float]  # chance of error, share of the plan -> chance spent by then


def power_spending(chance: float, share: float) -> float:
    """Little at first, when few pairs say little (Kim & DeMets 1987, rho = 2)."""
    return chance * min(1.0, share) ** 2


def bounds(
    chance: float, looks: Sequence[int], planned: int, spending: Spending = power_spending
) -> list[float]:
    """Of the z value at each look: with no change, `chance` is that of any of them ever being exceeded.

    `looks`: after how many pairs; the last one may be before `planned`.
    """
    found: list[float] = []
    before, spent, grid, density = 0, 0.0, [0.0], [1.0]  # the sum of no pairs is 0
    for pairs in looks:
        total = spending(chance, pairs / planned)
        scale = math.sqrt(pairs - before)
        bound = _bound(total - spent, grid, density, scale, math.sqrt(pairs))
        found.append(bound / math.sqrt(pairs))
        grid, density = _next(grid, density, scale, -_FAR * math.sqrt(pairs), bound)
        before, spent = pairs, total
    return found


def _bound(
    chance: float, grid: Sequence[float], density: Sequence[float], scale: float, spread: float
) -> float:
    """What the sum exceeds with this chance at the next look, without having exceeded a bound before."""
    low, high = 0.0, 9 * spread
    for _ in range(50):
        middle = (low + high) / 2
        tail = sum(
            weight * 0.5 * math.erfc((middle - at) / scale / math.sqrt(2))
            for at, weight in zip(grid, density, strict=True)
            if middle - at < _FAR * scale
        )
        low, high = (middle, high) if tail > chance else (low, middle)
    return (low + high) / 2


def _next(
    grid: Sequence[float], density: Sequence[float], scale: float, low: float, high: float
) -> tuple[list[float], list[float]]:
    """The sums below the bound at the next look, with their chances: points and Simpson's weights."""
    halves = max(1, math.ceil((high - low) / (_STEP * scale) / 2))
    step = (high - low) / (2 * halves)
    points = [low + step * index for index in range(2 * halves + 1)]
    weights = [
        step / 3 * (1 if index in {0, 2 * halves} else 2 + 2 * (index % 2)) for index in range(len(points))
    ]
    factor = 1 / (scale * math.sqrt(2 * math.pi))
    reached = []
    for point, weight in zip(points, weights, strict=True):
        first = bisect_left(grid, point - _FAR * scale)
        last = bisect_left(grid, point + _FAR * scale)
        value = sum(
            density[index] * math.exp(-(((point - grid[index]) / scale) ** 2) / 2)
            for index in range(first, last)
        )
        reached.append(weight * factor * value)
    return points, reached


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The look after so many pairs of blocks, of so many planned ones.

    `continued`: how often a session that had spent its chance of error went on nevertheless. Each time it has
    half the chance of the time before, so that all together stay below twice the first one (Bonferroni).
    """

    pairs: int
    planned: int
    continued: int = 0

    @property
    def times(self) -> tuple[int, ...]:
        """The looks up to the end of the plan, this one among them."""
        every = math.ceil(max(1, self.planned - FEWEST_PAIRS + 1) / MOST_LOOKS)
        usual = range(FEWEST_PAIRS, self.planned + 1, every)
        return tuple(sorted({*usual, max(self.planned, self.pairs), self.pairs} - {*range(FEWEST_PAIRS)}))

    @property
    def is_due(self) -> bool:
        """Whether one looks here while the measuring goes on."""
        return self.pairs in Look(pairs=self.planned, planned=self.planned).times

    @property
    def number(self) -> int:
        """How many looks there were, this one included."""
        return sum(time <= self.pairs for time in self.times)

    def level(self, chance: float) -> float:
        """The one-sided chance of error at this look, when `chance` is that of all looks together."""
        return _interpolated(chance / 2**self.continued, _CHANCES, self._levels())

    def overall(self, level: float) -> float:
        """The other way round: a p-value of this look alone -> one that holds for all looks."""
        chance: float = _interpolated(level, self._levels(), _CHANCES) * 2**self.continued
        return min(0.5, chance)

    def _levels(self) -> tuple[float, ...]:
        return _levels(self.times, max(self.planned, self.pairs))[self.times.index(self.pairs)]


@lru_cache(maxsize=64)
def _levels(times: tuple[int, ...], planned: int) -> list[tuple[float, ...]]:
    """Of each look, the levels for `_CHANCES`."""
    by_chance = [
        [0.5 * math.erfc(z / math.sqrt(2)) for z in bounds(chance, times, planned)] for chance in _CHANCES
    ]
    return list(zip(*by_chance, strict=True))


def _interpolated(value: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    """Along the logarithms; proportional below the first, where every chance is small."""
    if value <= xs[0]:
        return max(value, 1e-300) * ys[0] / xs[0]
    for (x, y), (further, above) in pairwise(zip(xs, ys, strict=True)):
        if value <= further:
            share = (math.log(value) - math.log(x)) / (math.log(further) - math.log(x))
            return math.exp(math.log(y) + share * (math.log(above) - math.log(y)))
    return 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """What is believed of a change at one of many looks: its intervals hold at all of them together."""

    once: Distribution  # what would be believed if nobody had looked before
    look: Look

    def quantile(self, share: float) -> float:
        if self.look.pairs < FEWEST_PAIRS:
            return math.copysign(math.inf, share - 0.5)
        if share > 0.5:
            return self.once.quantile(1 - self.look.level(1 - share))
        return self.once.quantile(self.look.level(share))

    def cdf(self, value: float) -> float:
        if self.look.pairs < FEWEST_PAIRS:
            return 0.5
        below = self.once.cdf(value)
        return self.look.overall(below) if below < 0.5 else 1 - self.look.overall(1 - below)


def paired_change(base: Sequence[float], cand: Sequence[float], look: Look) -> tuple[float, Distribution]:
    """One number of each block, pair by pair -> the logarithm of candidate / baseline, and its distribution.

    Any number that is above zero: a percentile, or something of the server such as its CPU per turn.
    """
    changes = [_log(after) - _log(before) for before, after in zip(base, cand, strict=True)]
    return paired(changes, look, LEAST_SCALE)


def paired(changes: Sequence[float], look: Look, least_scale: float) -> tuple[float, Distribution]:
    """The change of each pair -> the typical one, and its distribution."""
    change, pairs = fmean(changes), len(changes)
    if pairs < FEWEST_PAIRS or not all(math.isfinite(value) for value in changes):
        return change, Student(center=0.0, scale=math.inf, degrees=1)
    scale = max(math.sqrt(variance(changes) / pairs), least_scale)
    return change, Repeated(once=Student(center=change, scale=scale, degrees=pairs - 1), look=look)


def _log(value: float) -> float:
    return math.log(max(value, 1e-6))
