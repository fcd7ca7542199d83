"""Two processes -> whether their `perf_counter` readings can be compared.

On one machine `perf_counter` is one clock for all processes, so that "wall minus perf" is the same number
everywhere; on two machines it differs by the time between their boots. No reading is ever corrected by it.
"""

from collections.abc import Sequence
from time import perf_counter, time

TOLERANCE_S = 0.005


def wall_minus_perf_s() -> float:
    """The identity of this process's clock: epoch seconds at which `perf_counter` was 0.

    Of several readings the one that took the shortest is used: a process may be interrupted in between.
    """
    best_s, offset_s = float("inf"), 0.0
    for _ in range(5):
        before_s = perf_counter()
        wall_s = time()
        after_s = perf_counter()
        if after_s - before_s < best_s:
            best_s, offset_s = after_s - before_s, wall_s - (before_s + after_s) / 2
    return offset_s


def shared_reading(t: float) -> list[float]:
    """A reading of `perf_counter`, for another process: `reading_of` takes it."""
    return [t, wall_minus_perf_s()]


def reading_of(other: Sequence[float]) -> float | None:
    """A `shared_reading` of another process, as a reading of the clock here; None: it has another clock."""
    t, offset_s = other
    return t if same_clock(offset_s, wall_minus_perf_s()) else None


def same_clock(one_s: float, other_s: float) -> bool:
    """Whether two `wall_minus_perf_s` belong to one clock."""
    return abs(one_s - other_s) <= TOLERANCE_S
