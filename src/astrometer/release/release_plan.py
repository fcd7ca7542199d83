"""What a release test does: which side runs when, under which load; where results go. Starts nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from astrometer.compare.comparison import MARGIN, SHARE_MARGIN
from astrometer.compare.gates import ANY, Gate, parse_gate
from astrometer.compare.repeated_looks import FEWEST_PAIRS
from astrometer.load.launch import LoadPlan
from astrometer.release.fitting_load import fitting_block_s
from astrometer.release.sides import SideSpec
from astrometer.targets.script import ModelScript


class Role(StrEnum):
    """Which of the two: the candidate is judged, the baseline is what it is compared with."""

    CANDIDATE = "candidate"
    BASELINE = "baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePlan:
    """Target and directory of `load` are set block by block.

    `fits_rate`: the arrivals are found while both sides warm up, and with `fits_block` the length of a block.

    `budget_s` of measuring: installing, starting and a block of each to warm up come before it.
    """

    specs: dict[Role, SideSpec]
    budget_s: float
    load: LoadPlan
    fits_rate: bool = False
    fits_block: bool = False
    model: ModelScript
    out: Path
    gates: Sequence[Gate] = (parse_gate(ANY),)
    margin: float = MARGIN
    share_margin: float = SHARE_MARGIN
    im_sink: bool = False
    messenger: bool = False  # each server has an adapter for people in a messenger
    start_timeout_s: float = 55.0  # of a server; what does not start is said within a minute

    @property
    def block_s(self) -> float:
        return (
            self.load.settings.shape.duration_s if self.load.settings.shape else self.load.duration_s or 0.0
        )

    def fitted(self, per_s: float, block_s: float | None = None) -> "ReleasePlan":
        """The same under so many arrivals per second. `block_s`: of before; None: what fits the rate."""
        load = self.load.at_rate(per_s)
        if self.fits_block:
            block_s = block_s or fitting_block_s(per_s, load.settings.warmup_s)
            load = replace(load, duration_s=block_s)
        return replace(self, load=load)

    def directory(self, role: Role, number: int) -> Path:
        return self.out / role / str(number)

    def invalid_directory(self, role: Role, number: int) -> Path:
        """Where a block is put whose pair does not count."""
        return self.out / "invalid" / f"{role}-{number}"

    def warm_up_directory(self, role: Role) -> Path:
        return self.out / "warm-up" / role


def order(pair: int) -> tuple[Role, Role]:
    """Of the first pair, the second, ...: A B B A A B. What changes slowly meets both sides alike."""
    sides = (Role.BASELINE, Role.CANDIDATE)
    return sides if pair % 2 else (sides[1], sides[0])


def planned_pairs(budget_s: float, elapsed_s: float, pairs: int) -> int:
    """How many pairs the budget has room for, when `pairs` of them took `elapsed_s`."""
    return max(FEWEST_PAIRS, int(budget_s * pairs / elapsed_s))
