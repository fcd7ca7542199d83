"""Windows of the searches of each way -> its capacity, and the ratio to the first, with intervals. Pure.

A search knows how much its windows differ; several searches know how much searches do. The interval is the
wider of what the two say: from the windows by the posterior of each search (`capacity_interval`), from the
searches by Student's t, with one variance of all ways, since all ran on the same machine.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist, fmean

from astrometer.compare.comparison import MARGIN
from astrometer.compare.student import quantile
from astrometer.measure.capacity.capacity_interval import CONFIDENCE, CapacityEstimate, estimate

UNKNOWN = CapacityEstimate(low=None, middle=None, high=None)
_SURE = (1 + CONFIDENCE) / 2
_Z = NormalDist().inv_cdf(_SURE)


class WayVerdict(StrEnum):
    """What a way holds beside the first one."""

    MORE = "more"
    FEWER = "fewer"
    SAME = "same"  # within the margin
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSet:
    """Of one search: (load, whether it passed)."""

    windows: Sequence[tuple[float, bool]]

    @property
    def believed(self) -> CapacityEstimate:
        return estimate(self.windows) or UNKNOWN

    @property
    def variance(self) -> float | None:
        """Of the logarithm, from the interval; None where neither end is known."""
        found = self.believed
        sides = ((found.low, found.middle), (found.middle, found.high))
        halves = [math.log(above / below) / _Z for below, above in sides if below and above]
        return fmean(halves) ** 2 if halves else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpread:
    """How much searches of one way differ: the variance of the logarithm of a capacity, pooled over ways."""

    variance: float = 0.0
    degrees: int = 0  # 0: one search each, nobody knows

    @classmethod
    def of(cls, ways: Iterable[Sequence[WindowSet]]) -> "SearchSpread":
        squares, degrees = 0.0, 0
        for searches in ways:
            logs = [math.log(m) for search in searches if (m := search.believed.middle) is not None]
            squares += sum((value - fmean(logs)) ** 2 for value in logs)
            degrees += max(0, len(logs) - 1)
        return cls(variance=squares / degrees, degrees=degrees) if degrees else cls()

    def half_width(self, searches: float) -> float:
        """Of the interval of a mean over so many searches; of a difference, of 1 / (1/n + 1/m)."""
        if not self.degrees:
            return 0.0
        return quantile(_SURE, self.degrees) * math.sqrt(self.variance / searches)


@dataclass(frozen=True, slots=True, kw_only=True)
class WayCapacity:
    """All searches of a way. `within`: the variance of `log` by the windows alone; None: an end is open."""

    believed: CapacityEstimate
    log: float | None
    within: float | None
    searches: int

    @classmethod
    def of(cls, searches: Sequence[WindowSet], spread: SearchSpread) -> "WayCapacity":
        found = [search.believed for search in searches]
        logs = [math.log(item.middle) for item in found if item.middle is not None]
        variances = [known for search in searches if (known := search.variance) is not None]
        if not variances or len(logs) < len(found):  # no measured load bounds it on one side
            together = WindowSet(windows=[window for search in searches for window in search.windows])
            return cls(believed=together.believed, log=None, within=None, searches=len(found))
        log, within = fmean(logs), fmean(variances) / len(found)
        if len(found) == 1:
            return cls(believed=found[0], log=log, within=within, searches=1)
        half = max(_Z * math.sqrt(within), spread.half_width(len(found)))
        return cls(believed=_around(log, half), log=log, within=within, searches=len(found))


def ratio(first: WayCapacity, other: WayCapacity, spread: SearchSpread) -> CapacityEstimate:
    """`other` in units of `first`. An end is None where no measured load bounds it."""
    if first.log is None or other.log is None or first.within is None or other.within is None:
        return CapacityEstimate(
            low=_over(other.believed.low, first.believed.high),
            middle=_over(other.believed.middle, first.believed.middle),
            high=_over(other.believed.high, first.believed.low),
        )
    searches = 1 / (1 / first.searches + 1 / other.searches)
    half = max(_Z * math.sqrt(first.within + other.within), spread.half_width(searches))
    return _around(other.log - first.log, half)


def verdict_of(believed: CapacityEstimate) -> WayVerdict:
    """Of a ratio."""
    low, high = believed.low, believed.high
    if low is not None and high is not None and low >= 1 - MARGIN and high <= 1 + MARGIN:
        return WayVerdict.SAME
    if low is not None and low > 1:
        return WayVerdict.MORE
    return WayVerdict.FEWER if high is not None and high < 1 else WayVerdict.CANNOT_TELL


def _around(log: float, half: float) -> CapacityEstimate:
    return CapacityEstimate(low=math.exp(log - half), middle=math.exp(log), high=math.exp(log + half))


def _over(value: float | None, by: float | None) -> float | None:
    return None if value is None or not by else value / by
