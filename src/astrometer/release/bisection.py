"""What is known of revisions in a row -> which is tried next, and between which two good becomes bad.

Revisions are numbered: 0 is the good end, the last number the bad end. Starts nothing.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class Mark(StrEnum):
    GOOD = "good"
    BAD = "bad"
    SKIPPED = "skipped"  # it does not start, or it cannot be told


@dataclass(slots=True)
class Bisection:
    """A search for the place where good becomes bad, if it does so once."""

    count: int
    marks: dict[int, Mark] = field(default_factory=dict)

    @property
    def last_good(self) -> int:
        return max((place for place, mark in self.marks.items() if mark is Mark.GOOD), default=0)

    @property
    def first_bad(self) -> int:
        return min((place for place, mark in self.marks.items() if mark is Mark.BAD), default=self.count - 1)

    @property
    def skipped(self) -> list[int]:
        """Places between the last good and the first bad one that nothing is known of."""
        return [place for place in self._between if self.marks.get(place) is Mark.SKIPPED]

    @property
    def untried(self) -> list[int]:
        return [place for place in self._between if place not in self.marks]

    def next(self) -> int | None:
        """The middle; beside skipped places one further off, as their neighbours often fail alike."""
        untried = self.untried
        return untried[int(_spread(len(self.skipped)) * len(untried))] if untried else None

    @property
    def most_steps_left(self) -> int:
        """If no further one is skipped and no one is yet."""
        return len(self.untried).bit_length()

    @property
    def _between(self) -> range:
        return range(self.last_good + 1, self.first_bad)


def _spread(number: int) -> float:
    """1/2, 1/4, 3/4, 1/8, 5/8, ...: van der Corput's sequence, which comes near every place soon."""
    number, value, step = number + 1, 0.0, 0.5
    while number:
        value += step * (number & 1)
        number, step = number >> 1, step / 2
    return value
