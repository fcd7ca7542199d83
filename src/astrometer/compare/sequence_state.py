"""How far a session of paired blocks came -> what its reports say of it: looks, time, what is undecided."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist
from typing import Any

from astrometer.compare import change_text
from astrometer.compare.change_verdict import ChangeRow, ChangeUnit
from astrometer.compare.gates import full_name
from astrometer.compare.repeated_looks import FEWEST_PAIRS, Look, Repeated
from astrometer.compare.rows import least_of_block
from astrometer.compare.student import Student
from astrometer.measure.tally.histogram import MIN_SAMPLES
from astrometer.report import formatting

FAR_S = 6 * 3600.0  # longer than this nobody measures
_FINAL_LEVEL = 0.0125  # of the last looks of a plan, about
_FINAL_Z = NormalDist().inv_cdf(1 - _FINAL_LEVEL)


class SequenceEnd(StrEnum):
    """Why no more pairs of blocks were measured."""

    DECIDED = "decided"
    BUDGET = "budget"
    INVALID = "invalid"  # the load generator could not measure this load
    FAILED = "failed"  # a server, or Locust
    INTERRUPTED = "interrupted"


SENTENCES = {
    SequenceEnd.DECIDED: "every condition is decided",
    SequenceEnd.BUDGET: "the budget is spent",
    SequenceEnd.INVALID: "pair after pair was INVALID",
    SequenceEnd.FAILED: "a side failed",
    SequenceEnd.INTERRUPTED: "interrupted",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceState:
    """`decided_at`: the pair since which a row is decided; `undecided`: rows, and the change in question."""

    look: Look
    block_s: float
    elapsed_s: float
    end: SequenceEnd
    decided_at: Mapping[str, int]
    undecided: tuple[tuple[ChangeRow, float], ...]

    def lines(self) -> list[str]:
        """For people: how it ended, and what of each condition's rows is still open."""
        pairs = "1 pair" if self.look.pairs == 1 else f"{self.look.pairs} pairs"
        looks = "1 look" if self.look.number == 1 else f"{self.look.number} looks"
        first = (
            f"Ended after {pairs} of blocks of {formatting.duration(self.block_s)} each "
            f"(of at most {self.look.planned}), {looks}, {formatting.duration(self.elapsed_s)}: "
            f"{SENTENCES[self.end]}."
        )
        if self.look.continued:
            times = formatting.plural(self.look.continued, "time")
            high = 2 - 0.5**self.look.continued
            first += f" Continued {times} (--more): the chance of an error is up to {high:.3g} times as high."
        return [first, *(self._undecided(row, limit) for row, limit in self.undecided)]

    def decided(self, row: ChangeRow) -> str:
        """`decided after 5 pairs`; empty for a row that no condition is about, or that is open."""
        pairs = self.decided_at.get(full_name(row.scope, row.name))
        return f"decided after {pairs} pairs" if pairs else ""

    def to_json(self) -> dict[str, Any]:
        return {
            "end": self.end.value,
            "pairs": self.look.pairs,
            "planned_pairs": self.look.planned,
            "looks": self.look.number,
            "continued": self.look.continued,
            "block_s": self.block_s,
            "elapsed_s": self.elapsed_s,
            "decided_after_pairs": dict(self.decided_at),
            "undecided": {
                full_name(row.scope, row.name): {"more_s": self._more_s(row, limit)}
                for row, limit in self.undecided
            },
        }

    def _undecided(self, row: ChangeRow, limit: float) -> str:
        name, more_s = full_name(row.scope, row.name), self._more_s(row, limit)
        if row.interval is None:
            if more_s is None:
                return f"Undecided: {name}; {row.why or 'too little is known of it'}."
            return f"Undecided: {name}; about {formatting.duration(more_s)} more would give enough samples."
        leaning = f" ({row.why})" if row.why else ""
        if more_s is None:
            edge = change_text.limit(limit, row.unit)
            near = f"its change is too near the limit of {edge} for any time that is worth it"
            return f"Undecided: {name}{leaning}; {near}."
        return f"Undecided: {name}{leaning}; about {formatting.duration(more_s)} more would decide it."

    def _more_s(self, row: ChangeRow, limit: float) -> float | None:
        """About how much longer it would take, if what was seen is the truth."""
        pairs = pairs_needed(row, limit, self.look.pairs)
        if pairs is None:
            return None
        more_s = max(1, pairs - self.look.pairs) * self.elapsed_s / self.look.pairs
        return more_s if more_s <= FAR_S else None


def pairs_needed(row: ChangeRow, limit: float, pairs: int) -> int | None:
    """About how many pairs in all are needed until the interval is off the limit; None: that cannot be told.

    If what was seen is the truth: the width of an interval goes with one over the root of their number.
    """
    if row.is_unmeasured:
        return None
    if row.interval is None or row.change is None:
        least = min(row.base_n, row.cand_n)
        if row.percent is not None and least < pairs * least_of_block(row.percent):
            return None  # longer blocks or more users help, not more blocks
        needed = 0 if row.percent is None else MIN_SAMPLES[row.percent]
        total = max(FEWEST_PAIRS, math.ceil(pairs * needed / least)) if least else pairs
        return total if total > pairs else None
    if not isinstance(row.belief, Repeated):
        return None
    center, edge = row.change, limit
    if row.unit is ChangeUnit.RATIO:
        center, edge = math.log1p(row.change), math.log1p(limit)
    room = abs(edge - abs(center))  # for the better as for the worse
    once = row.belief.once
    # As with many pairs: early intervals are wider than their spread makes them.
    reach = _FINAL_Z * once.scale if isinstance(once, Student) else once.quantile(1 - _FINAL_LEVEL) - center
    if not math.isfinite(reach) or not math.isfinite(room) or room < 1e-4:
        return None
    return math.ceil(min(1e6, pairs * (reach / room) ** 2))
