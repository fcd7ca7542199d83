"""The timeline of a run -> when its warm-up was over. Pure.

It is found by precision alone (`steadiness.warm_up`), so that it cannot favour a value. Failures have no say:
a server that only fails at first would have its failures left out.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from astrometer.measure.slo.drift import FAILED, LEAST_PARTS, LEAST_SAMPLES, LoadWindow, series_of
from astrometer.measure.slo.validity import Cause, CauseKind
from astrometer.measure.steadiness import warm_up
from astrometer.measure.tally.exchange_stats import Stats
from astrometer.measure.tally.timeline import STEP_S, Steps

SLACK_S = 1.0  # a run may end some milliseconds before its time, and its last part is not whole then
TOO_LITTLE = (
    f"it needs {LEAST_PARTS} whole parts of {STEP_S} s or more, half of them with {LEAST_SAMPLES} samples"
)
TOO_LONG = "it takes half of the run or more, or never ends"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundWarmUp:
    """In seconds since the run's start. `until_s`: None: not found, and `problem` says why.

    `least_s`: what is left out in any case. `metrics`, `part_s`: what was looked at, and the longest parts.
    """

    least_s: float
    until_s: float | None
    metrics: tuple[str, ...] = ()
    part_s: float | None = None
    problem: str | None = None

    @property
    def excluded_s(self) -> float:
        return self.least_s if self.until_s is None else self.until_s

    def causes(self) -> list[Cause]:
        """Without an end of the warm-up nobody knows what was measured."""
        if self.problem is None:
            return []
        return [Cause(kind=CauseKind.WARM_UP_NOT_FOUND, detail=self.problem)]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "metrics": list(self.metrics)}


def shortest_run_s(excluded_s: float) -> float:
    """Of a run in which it can be found. Parts begin at whole steps since the run's start."""
    return (math.ceil(excluded_s / STEP_S) + LEAST_PARTS) * STEP_S + SLACK_S


def find_warm_up(timeline: Steps[Stats], window: LoadWindow) -> FoundWarmUp:
    """`window`: what would be measured without a warm-up. The metric that takes longest decides."""
    series = [
        one for one in series_of(list(timeline.items()), timeline.step_s, window) if one.metric != FAILED
    ]
    if not series:
        return FoundWarmUp(least_s=window.start_s, until_s=None, problem=TOO_LITTLE)
    ends = [_end_s(one.values, one.start_s, one.part_s) for one in series]
    found = [end_s or window.start_s for end_s in ends if end_s is not None]
    is_found = len(found) == len(ends)
    return FoundWarmUp(
        least_s=window.start_s,
        until_s=max(found) if is_found else None,
        metrics=tuple(one.metric for one in series),
        part_s=max(one.part_s for one in series),
        problem=None if is_found else TOO_LONG,
    )


def _end_s(values: Sequence[float], start_s: float, part_s: float) -> float | None:
    """0: there was none."""
    left_out = warm_up(values)
    if left_out is None:
        return None
    return float(start_s + left_out * part_s) if left_out else 0.0
