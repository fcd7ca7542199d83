"""What the window counted, step by step: its begin may be chosen when all is measured. Nothing is lost."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Self

from astrometer.measure.tally.exchange_stats import Stats

Book = dict[Any, Stats]


class WindowBook:
    """Of one step. `counted`: by (scenario, operation); `sizes`: uploads that ended, by their size class."""

    def __init__(self) -> None:
        self.counted: Book = defaultdict(Stats)
        self.sizes: Book = defaultdict(Stats)

    def merge(self, other: Self) -> None:
        for mine, theirs in ((self.counted, other.counted), (self.sizes, other.sizes)):
            for key, stats in theirs.items():
                mine[key].merge(stats)

    def fail_uncounted(self) -> None:
        for stats in (*self.counted.values(), *self.sizes.values()):
            stats.fail_uncounted()

    def to_wire(self) -> dict[str, Any]:
        return {
            "counted": [(tuple(key), stats.to_wire()) for key, stats in self.counted.items()],
            "sizes": [(key, stats.to_wire()) for key, stats in self.sizes.items()],
        }

    def add_wire(self, wire: Mapping[str, Any]) -> None:
        for key, stats in wire["counted"]:
            self.counted[tuple(key)].add_wire(stats)
        for key, stats in wire["sizes"]:
            self.sizes[key].add_wire(stats)
