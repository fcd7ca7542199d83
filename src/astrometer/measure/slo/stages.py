"""The stages of a load's profile: what was asked of the load generator in each. Pure."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadStage:
    """A stage of the profile, in seconds since the run's start.

    `peak`: its most users, or arrivals per second when `is_rate`. `due`: the arrivals of an open model that
    belong to the part of it that was measured. `loop_lag_p99_s` is that of the worst process.
    """

    name: str
    start_s: float
    end_s: float
    peak: float
    is_rate: bool = False
    is_flat: bool = True  # the load stays the same
    due: float | None = None
    loop_lag_p99_s: float | None = None


# One pause of the machine is the p99 of a shorter one: then that stage alone says nothing.
LONG_ENOUGH_S = 10.0


def stage_at(starts_s: Sequence[float], elapsed_s: float) -> int:
    """The number of the stage that goes on then; the first and the last have no end."""
    return max(0, bisect_right(starts_s, elapsed_s) - 1)
