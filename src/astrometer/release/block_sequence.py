"""Pairs of measured blocks -> whether every condition is decided, and what is known. Starts nothing."""

from collections.abc import Mapping
from typing import Any

from astrometer.compare.change_verdict import ChangeVerdict
from astrometer.compare.comparable import ComparedRun
from astrometer.compare.comparison import Comparison
from astrometer.compare.gates import compare_for, conditioned_rows, full_name, undecided_rows
from astrometer.compare.repeated_looks import FEWEST_PAIRS, Look
from astrometer.compare.sequence_state import SequenceEnd, SequenceState
from astrometer.release.earlier_blocks import NONE, EarlierBlocks
from astrometer.release.pooled_objectives import pooled_objectives
from astrometer.release.release_plan import ReleasePlan, Role, planned_pairs


class BlockSequence:
    """The pairs so far. The plan of looks is made after the first new pair, from how long that took."""

    def __init__(self, plan: ReleasePlan, earlier: EarlierBlocks = NONE) -> None:
        self.plan = plan
        self._earlier = earlier
        self.runs: dict[Role, list[ComparedRun]] = {Role.BASELINE: [], Role.CANDIDATE: []}
        self.planned = 0
        self.elapsed_s = 0.0
        self.end = SequenceEnd.INTERRUPTED  # until it is known better
        self.decided_at: dict[str, int] = {}
        self._is_decided = False
        for measured in earlier.pairs:
            self.add(measured)

    @property
    def pairs(self) -> int:
        return len(self.runs[Role.CANDIDATE])

    @property
    def _new_pairs(self) -> int:
        return self.pairs - len(self._earlier.pairs)

    def add(self, measured: Mapping[Role, ComparedRun]) -> None:
        for role, run in measured.items():
            self.runs[role].append(run)

    def timed(self, elapsed_s: float) -> None:
        self.elapsed_s = self._earlier.elapsed_s + elapsed_s
        if self._new_pairs and not self.planned:
            more = planned_pairs(self.plan.budget_s, elapsed_s, self._new_pairs)
            self.planned = len(self._earlier.pairs) + more

    def goes_on(self, elapsed_s: float) -> bool:
        """Whether another pair is to be measured: the fewest always are, unless all are INVALID."""
        if self._is_decided:
            return False
        if not self.planned:
            return elapsed_s < self.plan.budget_s
        if self.pairs < FEWEST_PAIRS:
            return True
        next_s = elapsed_s / self._new_pairs
        return self.pairs < self.planned and elapsed_s + next_s <= 1.02 * self.plan.budget_s

    def look(self) -> str:
        """Look whether all is decided, when that is due; how far it is, in a line."""
        at = f"pair {self.pairs} of at most {self.planned}"
        if self.pairs < FEWEST_PAIRS or not self._look.is_due:
            return at
        compared = self.compared()
        undecided = [row for row, _ in undecided_rows(self.plan.gates, compared)]
        self._note(compared, {full_name(row.scope, row.name) for row in undecided})
        thin = [item["text"] for item in self.objectives() if item["verdict"] == "NO_DATA"]
        self._is_decided = not undecided and not thin
        names = [*(full_name(row.scope, row.name) for row in undecided), *thin]
        return f"{at}: all is decided" if self._is_decided else f"{at}: undecided: {', '.join(names)}"

    def _note(self, compared: Comparison, undecided: set[str]) -> None:
        """Since which pair each row that a condition is about has been decided."""
        watched = {
            full_name(row.scope, row.name)
            for row in conditioned_rows(self.plan.gates, compared)
            # Where one row is worse, `any worse` is decided, and the others are not.
            if row.verdict is not ChangeVerdict.CANNOT_TELL or row.is_not_worse
        }
        for name in watched - undecided:
            self.decided_at.setdefault(name, self.pairs)
        for name in undecided & self.decided_at.keys():
            del self.decided_at[name]

    def ended(self, *, is_invalid: bool) -> None:
        if self._is_decided:
            self.end = SequenceEnd.DECIDED
        else:
            self.end = SequenceEnd.INVALID if is_invalid else SequenceEnd.BUDGET

    @property
    def _look(self) -> Look:
        planned = max(self.planned, self.pairs)
        return Look(pairs=self.pairs, planned=planned, continued=self._earlier.continued)

    def compared(self) -> Comparison:
        """At this look. Needs a pair."""
        return compare_for(
            self.plan.gates,
            self.runs[Role.BASELINE],
            self.runs[Role.CANDIDATE],
            margin=self.plan.margin,
            share_margin=self.plan.share_margin,
            look=self._look,
        )

    def state(self, compared: Comparison) -> SequenceState:
        return SequenceState(
            look=self._look,
            block_s=self.plan.block_s,
            elapsed_s=self.elapsed_s,
            end=self.end,
            decided_at=self.decided_at,
            undecided=tuple(undecided_rows(self.plan.gates, compared)),
        )

    def objectives(self) -> list[dict[str, Any]]:
        """Each `--slo`, of all blocks of the candidate together."""
        return pooled_objectives([run.results for run in self.runs[Role.CANDIDATE]])
