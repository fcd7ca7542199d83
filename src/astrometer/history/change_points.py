"""Numbers of runs in order -> where their level changed, with a known chance of a false alarm.

ruptures (an optional extra) finds the best places of steps (PELT, Killick et al. 2012). A step counts if it
lowers the sum of squared deviations by more than a penalty: the variance between neighbouring runs, times the
factor that chance alone reaches in `chance` of all series without a step. This factor is simulated for the
same number of runs and places, with runs that resemble the previous one a little (`RESEMBLANCE`), as on a
machine that drifts.

The variance comes from the differences of neighbours, without the largest quarter, where steps and odd runs
are. An odd run is moved towards its neighbours (Hampel's filter), which leaves steps as they are.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from statistics import NormalDist, median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

FEWEST_RUNS = 6  # in all
MANY_RUNS = 12  # from here on a step has three runs on either side, below two: a single odd run is none
REQUIREMENT = "ruptures>=1.1.10"
MISSING = f'Change points need the library ruptures: pip install "{REQUIREMENT}"'
RESEMBLANCE = 0.3  # correlation of a run and the next
_NEAR = 2  # neighbours on either side that an odd run is seen by
_ODD = 1.5  # standard deviations from their median
_DRAWS = 20_000
_AT_ONCE = 2_000_000  # drawn numbers held in memory
_COUNTED = 0.75  # of the differences
_OF_NORMAL = NormalDist(sigma=2**0.5).inv_cdf((1 + _COUNTED) / 2)  # the largest that counts, of a spread of 1


class MissingRupturesError(ImportError):
    """The optional extra is not installed; the text says how to install it."""


def need_ruptures() -> None:
    """Raises MissingRupturesError."""
    try:
        import ruptures  # noqa: F401, PLC0415 (optional, and slow to import)
    except ImportError as exc:
        raise MissingRupturesError(MISSING) from exc


def change_points(
    values: Sequence[float], starts: Sequence[int], *, least_variance: float, chance: float
) -> list[int]:
    """The points at which another level begins, ascending. Raises MissingRupturesError.

    `values`: of each run, in order. `starts`: of each point its first run; a step lies between points.
    `least_variance`: a run's own; runs do not differ by less. `chance` of a false alarm in this series.
    """
    need_ruptures()
    side = side_runs(len(values))
    allowed = [at for at in starts if side <= at <= len(values) - side]
    if len(values) < FEWEST_RUNS or not allowed:
        return []
    from ruptures import Pelt  # noqa: PLC0415

    edges = [*starts, len(values)]
    spread = _spreads(_numpy().array([values])).clip(min=least_variance**0.5)
    kept = _without_odd(_numpy().array([values]), spread)[0].tolist()
    penalty = float(spread[0] ** 2 * _numpy().quantile(_by_chance(len(values), tuple(allowed)), 1 - chance))
    fewest = min(end - start for start, end in pairwise(edges))
    search = Pelt(custom_cost=_deviation_cost(kept, edges), min_size=-(-side // fewest), jump=1)
    found: list[int] = search.fit(_numpy().zeros(len(starts))).predict(pen=penalty)
    return [at for at in found[:-1] if starts[at] in allowed]


def side_runs(runs: int) -> int:
    """How many runs a step needs on either side."""
    return 2 if runs < MANY_RUNS else 3


def _numpy() -> Any:
    import numpy  # noqa: ICN001, PLC0415 (comes with ruptures)

    return numpy


def _spreads(series: "Array") -> "Array":
    """The standard deviation of runs about their level, of each of several series."""
    np = _numpy()
    apart = np.quantile(abs(np.diff(series, axis=1)), _COUNTED, axis=1, method="lower")
    return apart / _OF_NORMAL  # type: ignore[no-any-return]


def _without_odd(series: "Array", spreads: "Array") -> "Array":
    """Each run at most so far from the median of those around it."""
    np = _numpy()
    edges = [np.median(part, axis=1)[:, None].repeat(_NEAR, 1) for part in (series[:, :3], series[:, -3:])]
    wider = np.concatenate([edges[0], series, edges[1]], axis=1)
    around = np.median(np.lib.stride_tricks.sliding_window_view(wider, 2 * _NEAR + 1, axis=1), axis=2)
    most = _ODD * spreads[:, None]
    return np.clip(series, around - most, around + most)  # type: ignore[no-any-return]


def _deviation_cost(values: Sequence[float], edges: Sequence[int]) -> Any:
    """The squared deviations of the runs of a stretch of points from their mean."""
    from ruptures.base import BaseCost  # noqa: PLC0415

    sums, squares = [0.0], [0.0]
    middle = median(values)  # so that little is lost when large numbers are subtracted
    for value in values:
        sums.append(sums[-1] + value - middle)
        squares.append(squares[-1] + (value - middle) ** 2)

    class Deviations(BaseCost):  # type: ignore[misc]
        model, min_size = "", 1

        def fit(self, signal: Any) -> "Deviations":
            self.signal = signal  # of which the search only wants to know how long it is
            return self

        def error(self, start: int, end: int) -> float:
            first, last = edges[start], edges[end]
            return squares[last] - squares[first] - (sums[last] - sums[first]) ** 2 / (last - first)

    return Deviations()


@lru_cache(maxsize=64)
def _by_chance(runs: int, allowed: tuple[int, ...]) -> "Array":
    """What the best step gains in normal series without any, in squared `_spreads`."""
    np = _numpy()
    draw = np.random.default_rng(1).standard_normal
    cuts = np.array(allowed)
    found = []
    for _ in range(-(-_DRAWS * runs // _AT_ONCE)):
        series = draw((min(_DRAWS, max(1, _AT_ONCE // runs)), runs))
        series[:, 0] /= (1 - RESEMBLANCE**2) ** 0.5
        for at in range(1, runs):
            series[:, at] += RESEMBLANCE * series[:, at - 1]
        spreads = _spreads(series)
        sums = _without_odd(series, spreads).cumsum(axis=1)
        total, before = sums[:, -1:], sums[:, cuts - 1]
        gains = before**2 / cuts + (total - before) ** 2 / (runs - cuts) - total**2 / runs
        found.append(gains.max(axis=1) / spreads**2)
    return np.concatenate(found)  # type: ignore[no-any-return]
