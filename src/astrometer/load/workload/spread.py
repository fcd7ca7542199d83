"""Many numbers -> at most a hundred, each the mean of an equal share of them. Pure.

The mean stays exact and quantiles are exact to within one share. Of many numbers, none appears as it was.
"""

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

SHARES = 100


@dataclass(frozen=True, slots=True)
class Spread:
    """`values`: in ascending order, none of them negative."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, numbers: Iterable[float]) -> "Spread | None":
        """None: there are no numbers."""
        found = sorted(numbers)
        if not found:
            return None
        count = min(SHARES, len(found))
        borders = [len(found) * share // count for share in range(count + 1)]
        return cls(tuple(_mean(found[first:last]) for first, last in pairwise(borders)))

    @property
    def mean(self) -> float:
        return _mean(self.values)

    def quantile(self, share: float) -> float:
        """Between two shares, in proportion: each stands at its middle."""
        at = min(max(share * len(self.values) - 0.5, 0.0), len(self.values) - 1.0)
        low, high = self.values[math.floor(at)], self.values[math.ceil(at)]
        return low + (high - low) * (at % 1)

    def draw(self, rng: random.Random) -> float:
        return rng.choice(self.values)

    def draw_whole(self, rng: random.Random) -> int:
        """A whole number, at least 1, of the same mean."""
        return max(1, int(self.draw(rng) + rng.random()))

    def draw_rest(self, rng: random.Random) -> float:
        """What is left of it for somebody who looks at a random moment: long ones are met more often."""
        longest = rng.choices(self.values, self.values)[0] if self.values[-1] > 0 else 0.0
        return longest * rng.random()


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
