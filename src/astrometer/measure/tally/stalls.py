"""The chunk gaps of a stream -> how often and how long it stood still. Pure."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

from astrometer.api.outcome import Outcome

THRESHOLD_S = 1.0


@dataclass(slots=True)
class Stalls:
    """Pauses in the middle of answers, longer than a threshold.

    `streams`: turns that could have had one. `turns`: those that had. `n` and `total_s`: the pauses.
    """

    streams: int = 0
    turns: int = 0
    n: int = 0
    total_s: float = 0.0

    @classmethod
    def of(cls, gaps_s: Sequence[float], outcome: Outcome, threshold_s: float) -> "Stalls":
        """One turn's. One that ended `stalled` stood still as well, though no gap came to its end."""
        pauses = [gap_s for gap_s in gaps_s if gap_s > threshold_s]
        stalled = outcome is Outcome.STALLED
        return cls(
            streams=int(stalled or bool(gaps_s)),
            turns=int(stalled or bool(pauses)),
            n=len(pauses),
            total_s=sum(pauses),
        )

    def add(self, other: "Stalls") -> None:
        self.streams += other.streams
        self.turns += other.turns
        self.n += other.n
        self.total_s += other.total_s

    @property
    def share(self) -> float | None:
        """Of the streams; None without any."""
        return self.turns / self.streams if self.streams else None

    def to_wire(self) -> list[Any]:
        return list(astuple(self))

    @classmethod
    def from_wire(cls, wire: Sequence[Any]) -> "Stalls":
        return cls(*wire)
