"""What a release test does: who runs when, under which load, and where the results go. Starts nothing."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from astrometer.load.launch import LoadPlan
from astrometer.targets.script import ModelScript


class Role(StrEnum):
    """Which of the two: the candidate is judged, the baseline is what it is compared with."""

    CANDIDATE = "candidate"
    BASELINE = "baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One run of one of the two."""

    role: Role
    number: int  # from 1, of its role


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePlan:
    """`specs`: a version, a wheel or a checkout. Target and directory of `load` are set run by run."""

    specs: dict[Role, str]
    repeat: int
    load: LoadPlan
    model: ModelScript
    out: Path
    tries: int = 2  # of a run that is INVALID
    im_sink: bool = False

    def directory(self, turn: Turn) -> Path:
        return self.out / turn.role / str(turn.number)

    def spoilt(self, turn: Turn, attempt: int) -> Path:
        """Where an INVALID run is put when it is repeated."""
        return self.out / "invalid" / f"{turn.role}-{turn.number}-try-{attempt}"


def order(repeat: int) -> list[Turn]:
    """A B B A A B ...: what changes slowly on the machine meets both alike."""
    pair = (Role.BASELINE, Role.CANDIDATE)
    return [
        Turn(role=role, number=number)
        for number in range(1, repeat + 1)
        for role in (pair if number % 2 else pair[::-1])
    ]
