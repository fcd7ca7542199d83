"""The pauses of users between their tasks -> how often, how long, and by how much too long. Closed model."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Any, Self


@dataclass(slots=True)
class Pauses:
    """`paused_s`: as long as they were meant to be; `overslept_s`: by how much they were longer."""

    pauses: int = 0
    paused_s: float = 0.0
    overslept_s: float = 0.0

    def add(self, meant_s: float, late_s: float) -> None:
        self.pauses += 1
        self.paused_s += meant_s
        self.overslept_s += max(0.0, late_s)

    def merge(self, other: Self) -> None:
        self.pauses += other.pauses
        self.paused_s += other.paused_s
        self.overslept_s += other.overslept_s

    @classmethod
    def total(cls, parts: Iterable[Self]) -> Self:
        total = cls()
        for part in parts:
            total.merge(part)
        return total

    def to_wire(self) -> list[Any]:
        return list(astuple(self))
