"""Traits that are more frequent among slow exchanges than among all, unless chance explains it. Pure.

A trait is a name with a value, such as ("turn", "1"). The slow ones are some of all. How often a trait is
found among them, if slowness has nothing to do with it, is hypergeometric (Fisher's exact test, one-sided);
with many traits, the least likely one must be unlikelier (Bonferroni).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

Trait = tuple[str, str]

MOST_BY_CHANCE = 0.01  # of all traits together
LEAST_RATIO = 1.5
LEAST_SLOW = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """A trait of `slow` of the `slow_n` slow exchanges, and of `everywhere` of all `n`."""

    trait: Trait
    slow: int
    slow_n: int
    everywhere: int
    n: int

    @property
    def slow_share(self) -> float:
        return self.slow / self.slow_n

    @property
    def share(self) -> float:
        return self.everywhere / self.n

    @property
    def chance(self) -> float:
        """How likely so many of the slow ones, or more, have it by chance."""
        return tail(self.slow, slow_n=self.slow_n, marked=self.everywhere, n=self.n)


def in_common(
    slow: Mapping[Trait, int], everywhere: Mapping[Trait, int], slow_n: int, n: int
) -> list[Common]:
    """The traits that chance does not explain, the greatest difference of the shares first."""
    limit = MOST_BY_CHANCE / max(1, len(everywhere))
    found = [
        Common(trait=trait, slow=count, slow_n=slow_n, everywhere=everywhere[trait], n=n)
        for trait, count in slow.items()
        if count >= LEAST_SLOW
    ]
    likely = [item for item in found if item.slow_share >= LEAST_RATIO * item.share]
    kept = [item for item in likely if item.chance <= limit]
    return sorted(kept, key=lambda item: (item.share - item.slow_share, item.trait))


def tail(at_least: int, *, slow_n: int, marked: int, n: int) -> float:
    """P(X >= at_least) when `slow_n` of `n` are drawn, of which `marked` are marked."""
    first, last = max(at_least, slow_n + marked - n), min(slow_n, marked)
    if first > last:
        return 0.0
    whole = _log_choose(n, slow_n)
    total = 0.0
    for count in range(first, last + 1):
        part = math.exp(_log_choose(marked, count) + _log_choose(n - marked, slow_n - count) - whole)
        total += part
        if part < total * 1e-12:
            break
    return min(1.0, total)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
