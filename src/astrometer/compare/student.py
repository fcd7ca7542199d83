"""Student's t distribution: cdf and quantile, for intervals over a few runs. Pure arithmetic, no tables."""

import math
from dataclasses import dataclass
from functools import lru_cache

_STEPS = 200
_TINY = 1e-300


@dataclass(frozen=True, slots=True, kw_only=True)
class Student:
    """A t distribution around `center`."""

    center: float
    scale: float
    degrees: int

    def quantile(self, share: float) -> float:
        if math.isinf(self.scale):
            return math.copysign(math.inf, share - 0.5)
        return self.center + self.scale * quantile(share, self.degrees)

    def cdf(self, value: float) -> float:
        if math.isinf(self.scale):
            return 0.5
        return cdf((value - self.center) / self.scale, self.degrees)


def cdf(t: float, degrees: float) -> float:
    """P(T <= t) with `degrees` of freedom."""
    if t == 0:
        return 0.5
    tail = 0.5 * _incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t))
    return tail if t < 0 else 1 - tail


@lru_cache(maxsize=4096)
def quantile(share: float, degrees: float) -> float:
    """The t that `share` of the distribution does not exceed; `share` strictly between 0 and 1."""
    if share == 0.5:
        return 0.0
    if share < 0.5:
        return -quantile(1 - share, degrees)
    low, high = 0.0, 2.0
    while cdf(high, degrees) < share:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if cdf(middle, degrees) < share else (low, middle)
    return (low + high) / 2


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised I_x(a, b), by its continued fraction (Lentz; Numerical Recipes 6.4)."""
    if x <= 0 or x >= 1:
        return min(1.0, max(0.0, x))
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, 1 - x) / b


def _fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        before = value
        for term in (even, odd):
            d = 1 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            value *= c * d
        if abs(value / before - 1) < 1e-13:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
