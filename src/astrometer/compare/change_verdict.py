"""The change of a percentile or a share, with its interval -> a verdict on it.

A verdict takes a margin, the smallest change that matters: `worse` and `better` when the whole interval is
beyond it, `same` when the whole interval is within it, `cannot tell` in all other cases. For `worse` and
`better` "nothing changed" must also be rejected after Holm's correction for the number of metrics, so that
the chance of even one false alarm among all stays small.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from astrometer.compare.bootstrap import Distribution
from astrometer.measure.slo.slo_parser import SERVER_RSS
from astrometer.measure.wilson import Interval

CONFIDENCE = 0.95
SHARES = ("errors", "goodput")
GROWTHS = (SERVER_RSS,)
ALPHA = (1 - CONFIDENCE) / 2  # beyond either end of an interval


class ChangeUnit(StrEnum):
    """What a change is in: a share of the baseline, or a difference."""

    RATIO = "ratio"  # 0.1: 10 % more
    POINTS = "points"  # between two shares
    BYTES = "bytes_per_1000_turns"  # between two growths, which may be zero or below


class ChangeVerdict(StrEnum):
    BETTER = "better"
    SAME = "same"
    WORSE = "worse"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRow:
    """One percentile, one share, or one number of each block, of both sides. Durations in seconds.

    `change`, its interval and the margin are in `unit`. None where there are too few samples. `belief` is of
    the logarithm of candidate / baseline where that is a ratio.
    `is_unmeasured`: not every run has the metric at all; `lost`: the baseline has, the candidate not.
    """

    scope: str  # a scenario, or "all"
    metric: str
    percent: int | None  # None: a share, or a number of each block
    base: float | None
    cand: float | None
    base_n: int
    cand_n: int
    base_runs: tuple[float, ...]
    cand_runs: tuple[float, ...]
    margin: float
    change: float | None = None
    interval: Interval | None = None
    base_interval: Interval | None = None  # shares only
    cand_interval: Interval | None = None
    superiority: float | None = None  # chance that a sample of the candidate is above one of the baseline
    verdict: ChangeVerdict = ChangeVerdict.CANNOT_TELL
    why: str = ""
    belief: Distribution | None = None
    is_unmeasured: bool = False
    lost: bool = False

    @property
    def name(self) -> str:
        return self.metric if self.percent is None else f"{self.metric}_p{self.percent}"

    @property
    def unit(self) -> ChangeUnit:
        if self.metric in GROWTHS:
            return ChangeUnit.BYTES
        return ChangeUnit.POINTS if self.metric in SHARES else ChangeUnit.RATIO

    @property
    def is_share(self) -> bool:
        return self.unit is ChangeUnit.POINTS

    @property
    def more_is_better(self) -> bool:
        return self.metric == "goodput"

    @property
    def worsening(self) -> Interval | None:
        """The interval of the change for the worse: above 0 the row is worse, whatever it measures."""
        if self.interval is None:
            return None
        low, high = self.interval
        return Interval(-high, -low) if self.more_is_better else self.interval

    @property
    def is_not_worse(self) -> bool:
        """Whether the whole interval is on the side of the margin where nothing got worse."""
        return self.worsening is not None and self.worsening.high <= self.margin

    @property
    def looks_worse(self) -> bool:
        """Whether the change itself, whatever its interval, is beyond the margin and not for the better."""
        if self.change is None:  # withheld, unless it is that only failures may reach it
            return self.base is not None and self.cand is not None and self.base < self.cand
        return (-self.change if self.more_is_better else self.change) > self.margin

    @property
    def belief_in_less(self) -> float:
        """How surely the true change is below none, from 0 to 1."""
        return 0.5 if self.belief is None else self.belief.cdf(0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRow:
    """How many exchanges ended in one way. The change is the candidate's share minus the baseline's."""

    outcome: str
    base: int
    cand: int
    base_share: float
    cand_share: float
    base_interval: Interval
    cand_interval: Interval
    interval: Interval


def judged(rows: Sequence[ChangeRow]) -> list[ChangeRow]:
    """Give every row of one family its verdict."""
    chances = {index: _chance_of_error(row) for index, row in enumerate(rows) if row.interval is not None}
    survived = holm(chances, ALPHA)
    return [
        _verdict(row, survives=index in survived) if row.interval is not None else row
        for index, row in enumerate(rows)
    ]


def holm(chances: Mapping[int, float], alpha: float) -> set[int]:
    """Which of several hypotheses may be rejected together (Holm 1979)."""
    kept: set[int] = set()
    for place, (index, chance) in enumerate(sorted(chances.items(), key=lambda item: item[1])):
        if chance > alpha / (len(chances) - place):
            break
        kept.add(index)
    return kept


def _chance_of_error(row: ChangeRow) -> float:
    """How likely such data are although nothing changed, or the other way."""
    return min(row.belief_in_less, 1 - row.belief_in_less)


def _verdict(row: ChangeRow, *, survives: bool) -> ChangeRow:
    if row.interval is None:
        return row
    low, high = row.interval
    if -row.margin <= low and high <= row.margin:
        return replace(row, verdict=ChangeVerdict.SAME)
    if low > row.margin or high < -row.margin:
        if not survives:
            return replace(row, why="may be chance among so many metrics")
        grew = low > row.margin
        return replace(
            row, verdict=ChangeVerdict.BETTER if grew == row.more_is_better else ChangeVerdict.WORSE
        )
    if low < -row.margin and high > row.margin:
        return replace(row, why="better, same or worse")
    up = high > row.margin
    leaning = "better" if up == row.more_is_better else "worse"
    return replace(row, why=f"same or {leaning}")
