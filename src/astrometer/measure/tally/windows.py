"""When a turn began -> the part of the run that it belongs to. Seconds since the run's start, passed in.

A turn belongs to the window of its intended time, wherever it ends. The window opens after the ramp and the
warm-up; at its end no new turn begins, those that run are drained and still count.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The steady part of a run. `excluded_s`: ramp and warm-up, from the start of the run."""

    excluded_s: float = 0.0

    def holds(self, t_s: float) -> bool:
        """Whether a turn intended at `t_s` counts in percentiles and rates."""
        return not self.excluded_s or t_s >= self.excluded_s

    def length_s(self, run_s: float) -> float:
        """The window's length in a run whose arrivals ended after `run_s`; never negative."""
        return max(0.0, run_s - self.excluded_s)


EVERYTHING = Window()
