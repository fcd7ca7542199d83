"""When a turn began -> the part of the run that it belongs to. Wall-clock seconds (epoch), passed in.

A turn belongs to the window of its intended time, wherever it ends. The window opens after the ramp and the
warm-up; at its end no new turn begins, those that run are drained and still count.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The steady part of a run. `excluded_s`: ramp and warm-up, from the start of the run."""

    start: float
    excluded_s: float = 0.0

    @property
    def opens(self) -> float:
        return self.start + self.excluded_s

    def holds(self, t: float) -> bool:
        """Whether a turn intended at `t` counts in percentiles and rates."""
        return t >= self.opens

    def length_s(self, run_s: float) -> float:
        """The window's length in a run whose arrivals ended after `run_s`; never negative."""
        return max(0.0, run_s - self.excluded_s)


EVERYTHING = Window(start=0.0)
