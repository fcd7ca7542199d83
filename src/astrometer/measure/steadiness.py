"""A series of equally spaced values -> whether it has a trend, or a level that shifts. Pure.

Neighbouring values of a load run are alike (a queue that is long stays long for a while), and a test for
independent values would call that a trend. Both tests here count correlated values as fewer.

- Trend: Mann (1945), Kendall (1975); slope by Sen (1968). The variance is multiplied by n/n*, as Hamed & Rao
  (1998) do, with the lags of a first-order autoregression, (1 + r) / (1 - r) (Yue & Wang 2004 for r of the
  series without its trend). r is corrected for its bias in short series (Marriott & Pope 1954; Kendall 1954).
- Warm-up: MSER-5 (White 1997; White, Cobb & Spratt 2000), the truncation with the smallest error of the mean.
- Level: Pettitt (1979), whose statistic is the largest of a sum of signs, so its variance grows by the same
  n/n* (Serinaldi & Kilsby 2016 on change points under persistence).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from statistics import NormalDist, median

_NORMAL = NormalDist()
MOST_CORRELATED = 0.95
MOST_ERROR_LEFT = 0.5  # of the squared error of the mean, once a warm-up is left out


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """`slope` a step, from `begin` on. `chance`: how likely a steady series looks like that, both sides."""

    slope: float
    begin: float
    chance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """From the value number `at` on the median is another one."""

    at: int
    before: float
    after: float
    chance: float


def trend(values: Sequence[float]) -> Trend:
    """Of three values at least."""
    n = len(values)
    pairs = list(combinations(range(n), 2))
    slope = median((values[late] - values[early]) / (late - early) for early, late in pairs)
    rest = [value - slope * place for place, value in enumerate(values)]
    score = sum(_sign(values[late] - values[early]) for early, late in pairs)
    variance = (n * (n - 1) * (2 * n + 5) - _of_ties(values)) / 18 * inflation(rest)
    z = (score - _sign(score)) / math.sqrt(variance) if variance > 0 else 0.0
    return Trend(slope=slope, begin=median(rest), chance=2 * _NORMAL.cdf(-abs(z)))


def shift(values: Sequence[float]) -> Shift:
    """Where a shift is most likely, of four values at least."""
    n = len(values)
    best, at, score = 0, 1, 0
    for place in range(n - 1):
        score += sum(_sign(values[place] - other) for other in values)
        if abs(score) > best:
            best, at = abs(score), place + 1
    before, after = median(values[:at]), median(values[at:])
    rest = [value - (before if place < at else after) for place, value in enumerate(values)]
    chance = 2 * math.exp(-6 * best**2 / ((n**3 + n**2) * inflation(rest)))
    return Shift(at=at, before=before, after=after, chance=min(1.0, chance))


def warm_up(values: Sequence[float]) -> int | None:
    """How many values to leave out at the begin, by precision alone: what the rest is does not matter.

    0 where that would not halve the squared error of the mean: in a steady series the best truncation is one
    of chance. None: more than half, so that nobody can tell.
    """
    n = len(values)

    def error(left_out: int) -> float:
        rest = values[left_out:]
        middle = sum(rest) / len(rest)
        return sum((value - middle) ** 2 for value in rest) / len(rest) ** 2

    best = min(range(n // 2 + 1), key=error)
    if error(best) > MOST_ERROR_LEFT * error(0):
        return 0
    return None if best == n // 2 else best


def inflation(values: Sequence[float]) -> float:
    """n / n*: how many correlated values say as much as one that is independent. 1 at least."""
    n, middle = len(values), sum(values) / len(values)
    spread = sum((value - middle) ** 2 for value in values)
    if not spread:
        return 1.0
    ranks = _ranks(values)
    mean = (n + 1) / 2
    whole = sum((rank - mean) ** 2 for rank in ranks)
    r = sum((early - mean) * (late - mean) for early, late in pairwise(ranks)) / whole
    r = min(MOST_CORRELATED, r + (1 + 4 * r) / n)
    return max(1.0, (1 + r) / (1 - r))


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _of_ties(values: Sequence[float]) -> int:
    counts = [values.count(value) for value in set(values)]
    return sum(count * (count - 1) * (2 * count + 5) for count in counts)


def _ranks(values: Sequence[float]) -> list[float]:
    """Equal values share their mean rank."""
    ordered = sorted(values)
    first: dict[float, int] = {}
    last: dict[float, int] = {}
    for place, value in enumerate(ordered, 1):
        first.setdefault(value, place)
        last[value] = place
    return [(first[value] + last[value]) / 2 for value in values]
