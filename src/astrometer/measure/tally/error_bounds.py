"""Samples that are not certain -> how far a percentile may be from the truth. Pure.

A reader that came late knows of an event only that it arrived between two times. Such a sample is counted
by its value, like any other, and here by its lower and its upper bound, too. A percentile of all samples
moves by its error at most when the bounds take the place of the values.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

from astrometer.api.timings import CERTAIN_S, Bounds
from astrometer.measure.tally.histogram import Histogram, buckets_of


class BoundBuckets(NamedTuple):
    """Samples and their bounds as places in any histogram."""

    value: Sequence[int]
    low: Sequence[int]
    high: Sequence[int]
    uncertain: int

    @classmethod
    def by_metric(cls, uncertain: Mapping[str, Sequence[Bounds]]) -> dict[str, "BoundBuckets"]:
        """All are looked up at once: most metrics have a single sample."""
        buckets, at = buckets_of([*chain.from_iterable(chain.from_iterable(uncertain.values()))]), 0
        found = {}
        for name, samples in uncertain.items():
            own = buckets[at : (at := at + 3 * len(samples))]
            spread = [1 for _, low, high in samples if high - low > CERTAIN_S]
            found[name] = cls(own[::3], own[1::3], own[2::3], len(spread))
        return found


@dataclass(slots=True)
class ErrorBounds:
    """Of one metric. `uncertain`: samples whose bounds are further apart than a millisecond."""

    value: Histogram = field(default_factory=Histogram)
    low: Histogram = field(default_factory=Histogram)
    high: Histogram = field(default_factory=Histogram)
    uncertain: int = 0

    def add_buckets(self, samples: "BoundBuckets") -> None:
        """What goes into several is looked up once."""
        self.value.add_buckets(samples.value)
        self.low.add_buckets(samples.low)
        self.high.add_buckets(samples.high)
        self.uncertain += samples.uncertain

    def merge(self, other: "ErrorBounds") -> None:
        self.value.merge(other.value)
        self.low.merge(other.low)
        self.high.merge(other.high)
        self.uncertain += other.uncertain

    def subtract(self, other: "ErrorBounds") -> None:
        """Take samples out again that were added before."""
        self.value.subtract(other.value)
        self.low.subtract(other.low)
        self.high.subtract(other.high)
        self.uncertain -= other.uncertain

    def errors_s(self, samples: Histogram, percents: Iterable[float]) -> list[float]:
        """The error of each percentile of `samples`, which hold the values here. 100: of the maximum.

        In seconds, and not negative; 0 where the percentile is infinite, for a failure is certain.
        """
        wanted = list(percents)
        values = samples.percentiles(wanted)
        ends = [self._moved(samples, to).percentiles(wanted) for to in (self.low, self.high)]
        return [
            max(_between(value, end) for end in found)
            for value, found in zip(values, zip(*ends, strict=True), strict=True)
        ]

    def _moved(self, samples: Histogram, to: Histogram) -> Histogram:
        moved = Histogram()
        moved.merge(samples)
        moved.subtract(self.value)
        moved.merge(to)
        return moved

    def to_wire(self) -> dict[str, Any]:
        return {
            "value": self.value.to_wire(),
            "low": self.low.to_wire(),
            "high": self.high.to_wire(),
            "uncertain": self.uncertain,
        }

    def add_wire(self, wire: Mapping[str, Any]) -> None:
        self.value.add_wire(wire["value"])
        self.low.add_wire(wire["low"])
        self.high.add_wire(wire["high"])
        self.uncertain += wire["uncertain"]


def _between(one: float | None, other: float | None) -> float:
    if one is None or other is None or math.isinf(one) or math.isinf(other):
        return 0.0
    return abs(one - other)
