"""The timeline of a results file -> columns of a chart, merged so that a long run stays readable.

Counts of neighbouring steps are added and their histograms merged; nothing is averaged.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from astrometer.api.outcome import Outcome
from astrometer.measure.tally.histogram import Histogram

MAX_COLUMNS = 90


@dataclass(slots=True, kw_only=True)
class Column:
    """What began between `t0_s` and `t1_s` (seconds since the run's start)."""

    t0_s: float
    t1_s: float
    started: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    encoded: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def width_s(self) -> float:
        return self.t1_s - self.t0_s

    @property
    def ok(self) -> int:
        return self.outcomes[Outcome.OK.value]

    @property
    def failed(self) -> int:
        return self.outcomes.total() - self.ok

    def histogram(self, metric: str) -> Histogram:
        """The ok samples of `metric`."""
        merged = Histogram()
        for text in self.encoded.get(metric, ()):
            merged.merge(Histogram.decode(text))
        return merged

    def absorb(self, other: "Column") -> None:
        self.t0_s, self.t1_s = min(self.t0_s, other.t0_s), max(self.t1_s, other.t1_s)
        self.started += other.started
        self.outcomes.update(other.outcomes)
        for metric, texts in other.encoded.items():
            self.encoded[metric] += texts


def columns(results: Mapping[str, Any]) -> list[Column]:
    """The columns in order, ramp and warm-up included. The steps of the file are aligned to the clock, so the
    first and the last are cut to the run, and one that is left shorter than half a step joins its neighbour.
    """
    step_s, steps = results["timeline"]["step_s"], results["timeline"]["steps"]
    if not steps:
        return []
    origin_s = steps[0]["t_s"]
    span = round((steps[-1]["t_s"] - origin_s) / step_s) + 1
    width_s = step_s * math.ceil(span / MAX_COLUMNS)
    found: dict[int, Column] = {}
    for step in steps:
        index = int((step["t_s"] - origin_s + step_s / 2) // width_s)
        start_s = origin_s + index * width_s
        column = found.setdefault(index, Column(t0_s=start_s, t1_s=start_s + width_s))
        column.started += step["turns"]["started"]
        column.outcomes.update(step["turns"]["outcomes"])
        for metric, summary in step["metrics"].items():
            column.encoded[metric].append(summary["histogram"])
    window = results["window"]
    return _cut(list(found.values()), window.get("excluded_s", 0.0) + window["duration_s"], step_s)


def _cut(found: list[Column], end_s: float, step_s: float) -> list[Column]:
    first, last = found[0], found[-1]
    first.t0_s = max(first.t0_s, min(0.0, first.t1_s - step_s / 10))
    if last.t0_s < end_s < last.t1_s:
        last.t1_s = end_s
    if len(found) > 1 and first.width_s < step_s / 2:
        found[1].absorb(found.pop(0))
    if len(found) > 1 and last.width_s < step_s / 2:
        found[-2].absorb(found.pop())
    return found
