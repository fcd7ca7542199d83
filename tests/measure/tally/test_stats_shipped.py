"""Whatever a process counts of its exchanges comes to the master."""

from collections import Counter
from dataclasses import fields

import msgpack
import pytest

from astrometer.measure.tally.error_bounds import ErrorBounds
from astrometer.measure.tally.exchange_stats import Stats
from astrometer.measure.tally.histogram import Histogram
from astrometer.measure.tally.stalls import Stalls


def full():
    bounds = ErrorBounds(value=Histogram([2.0]), low=Histogram([1.0]), high=Histogram([3.0]), uncertain=1)
    stats = Stats(
        stalls=Stalls(streams=4, turns=3, n=2, total_s=1.5),
        bounds={"ttft": bounds},
        uncounted=Stats(started=1),
    )
    for field in fields(Stats):
        value = getattr(stats, field.name)
        if isinstance(value, Counter):
            value["one"] = 2
        elif isinstance(value, int):
            setattr(stats, field.name, 7)
        elif field.name in ("ok", "failed"):
            value["ttft"].record(0.25)
    return stats


def shipped(stats):
    return msgpack.unpackb(msgpack.packb(stats.to_wire()), strict_map_key=False)


@pytest.mark.parametrize("field", [field.name for field in fields(Stats)])
def test_no_part_is_forgotten_on_the_way(field):
    received, merged = Stats(), Stats()
    assert getattr(full(), field) != getattr(received, field), "a new part: give it a value in full()"
    for _ in range(2):
        received.add_wire(shipped(full()))
        merged.merge(full())
    assert getattr(received, field) == getattr(merged, field) != getattr(full(), field)
