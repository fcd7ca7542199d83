"""A count of exchanges -> a share with Wilson's interval. Pure."""

import math
from dataclasses import dataclass
from typing import NamedTuple


class Interval(NamedTuple):
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Proportion:
    """`value` of some `n` exchanges; `n` may be an effective number and no whole one."""

    value: float
    n: float

    def wilson(self, z: float) -> Interval:
        """Wilson's score interval (1927)."""
        n, p = self.n, self.value
        middle = p + z * z / (2 * n)
        spread = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        # Not all of it is rounding error at the ends: 0 of n begins at 0.
        low = 0.0 if p == 0 else (middle - spread) / (1 + z * z / n)
        high = 1.0 if p == 1 else (middle + spread) / (1 + z * z / n)
        return Interval(max(0.0, low), min(1.0, high))
