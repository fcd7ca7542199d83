"""PASS and FAIL of windows at their loads -> the load that is held, with an interval. Pure.

A window fails the surer the higher its load is; the capacity is the load at which half of all windows would
fail. That is the threshold of a psychometric function, and the search is an adaptive staircase, so the same
estimate serves: the posterior on a grid over threshold and slope (Watson & Pelli 1983, "QUEST"; Kontsevich &
Tyler 1999). It needs no independent samples: a window counts once, however many turns of one queue it has.
How often the interval holds the true capacity is in docs/explanation/how-capacity-is-searched.md.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

CONFIDENCE = 0.95
# How blurred the edge may be, as a standard deviation of the logarithm of a load: 1 % to 50 %, evenly in its
# logarithm. At the finest a level of a usual search beside the edge is decided, the widest is hardly an edge.
_BLURS = tuple(0.01 * 50 ** (step / 9) for step in range(10))
_LAPSE = 0.01  # of windows say the wrong thing whatever the load: one stray window must not decide
_STEP = 0.01  # of the grid, in the logarithm of a load
_BEYOND = math.log(2)  # as far as the grid goes past the loads that were measured


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityEstimate:
    """`middle` None: only one side was seen. An end is None where no measured load bounds it."""

    low: float | None
    middle: float | None
    high: float | None


def estimate(windows: Iterable[tuple[float, bool]]) -> CapacityEstimate | None:
    """`windows`: (load, whether it passed). None without any."""
    counted: dict[float, list[int]] = {}
    for load, passed in windows:
        counted.setdefault(load, [0, 0])[not passed] += 1
    if not counted:
        return None
    lowest, highest = min(counted), max(counted)
    posterior = _Posterior.of(counted)
    beyond = (1 - CONFIDENCE) / 2
    low, middle, high = (posterior.quantile(share) for share in (beyond, 0.5, 1 - beyond))
    passed, failed = (any(count[side] for count in counted.values()) for side in (0, 1))
    return CapacityEstimate(
        low=min(low, highest) if passed and low >= lowest else None,
        middle=middle if passed and failed else None,
        high=max(high, lowest) if failed and high <= highest else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Posterior:
    """Cumulative weights of the logarithms of loads, each in the middle of a cell of the grid."""

    grid: Sequence[float]
    cumulative: Sequence[float]

    @classmethod
    def of(cls, counted: dict[float, list[int]]) -> "_Posterior":
        begin, end = math.log(min(counted)) - _BEYOND, math.log(max(counted)) + _BEYOND
        cells = math.ceil((end - begin) / _STEP)
        grid = [begin + (end - begin) * (cell + 0.5) / cells for cell in range(cells)]
        seen = [(math.log(load), passed, failed) for load, (passed, failed) in counted.items()]
        return cls(grid=grid, cumulative=list(accumulate(_likelihood(seen, at) for at in grid)))

    def quantile(self, share: float) -> float:
        """The load that is above the capacity with this chance."""
        wanted, before = share * self.cumulative[-1], 0.0
        half = (self.grid[1] - self.grid[0]) / 2
        for at, until in zip(self.grid, self.cumulative, strict=True):
            if until >= wanted:
                return math.exp(at - half + 2 * half * (wanted - before) / (until - before))
            before = until
        return math.exp(self.grid[-1] + half)


def _likelihood(seen: Sequence[tuple[float, int, int]], capacity: float) -> float:
    """Of these windows if that were the capacity, over all blurs alike."""
    total = 0.0
    for blur in _BLURS:
        product = 1.0
        for load, passed, failed in seen:
            fails = _LAPSE + (1 - 2 * _LAPSE) * math.erfc((capacity - load) / (blur * math.sqrt(2))) / 2
            product *= (1 - fails) ** passed * fails**failed
        total += product
    return total
