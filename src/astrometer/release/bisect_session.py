"""Revisions in a row -> the one with which good became bad: a release test of each against the good end.

Both ends are tested first. A revision that cannot run is skipped. An undecided one is tested once more with
twice the budget, and then skipped.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from astrometer.compare import change_text
from astrometer.compare.change_verdict import ChangeRow, ChangeVerdict
from astrometer.compare.gates import full_name
from astrometer.compare.output.compare_view import Page
from astrometer.release.bisection import Bisection, Mark
from astrometer.release.release_page import judged
from astrometer.release.release_plan import ReleasePlan, Role
from astrometer.release.revisions import RevisionRange
from astrometer.release.session import SIDE_FAULTS, ReleaseSession
from astrometer.release.sides import Say
from astrometer.targets.sandbox.find_python import NoPythonError
from astrometer.targets.sandbox.install import Installation

# Of a server. A machine that is busy for a minute must not pass for a release that does not start.
START_TIMEOUT_S = 180.0
MARKS = {"PASS": Mark.GOOD, "FAIL": Mark.BAD}


class WrongEndError(Exception):
    """An end is surely not what it was said to be."""


class OpenEndError(Exception):
    """Of an end it cannot be told what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BisectStep:
    """One test of a revision. `rows`: of its conditions, against the good end."""

    place: int
    name: str
    mark: Mark | None  # None: it could not be told, and is tested again
    why: str
    rows: tuple[ChangeRow, ...]
    pairs: int
    elapsed_s: float
    directory: Path

    def change(self) -> str:
        """`e2e_p50 +12.3 % (+10.1 % … +14.6 %)`, of each row that has an interval."""
        return "; ".join(
            f"{full_name(row.scope, row.name)} {change_text.change(row.change, row.unit)} "
            f"({change_text.interval(row.interval, row.unit)})"
            for row in self.rows
            if row.interval is not None
        )


@dataclass(slots=True)
class BisectSession:
    """`plan`: of each test, but for its sides and its directory. `keep`: writes what a test showed.

    `steps` and `search` hold what is known, whatever ends the session.
    """

    plan: ReleasePlan
    range: RevisionRange
    say: Say
    keep: Callable[[Page, Path], object]
    steps: list[BisectStep] = field(default_factory=list)
    installed: dict[int, Installation] = field(default_factory=dict)
    search: Bisection = field(init=False)

    def __post_init__(self) -> None:
        self.search = Bisection(count=len(self.range.revisions))

    def execute(self) -> None:
        """Raises WrongEndError, OpenEndError, and of the ends what a ReleaseSession raises."""
        self._check_end(0, Mark.GOOD)
        self._check_end(len(self.range.revisions) - 1, Mark.BAD)
        while (place := self.search.next()) is not None:
            self._try(place)

    def _check_end(self, place: int, wanted: Mark) -> None:
        found = self._try(place)
        if found.mark is wanted:
            return
        self.search.marks.pop(place)
        if found.mark is Mark.SKIPPED:
            raise OpenEndError(f"the {wanted} end, {found.name}: {found.why}")
        if wanted is Mark.GOOD:
            raise OpenEndError(
                f"{found.name} against itself is called bad ({found.change() or found.why}): "
                "this machine is too uneven for this condition, or an objective is missed by the good end"
            )
        raise WrongEndError(f"{found.name} is not bad: {found.change() or found.why}")

    def _try(self, place: int) -> BisectStep:
        """Test a revision, once more if it cannot be told, and mark it."""
        name, budget_s = self.range.revisions[place].name, self.plan.budget_s
        left = self.search.most_steps_left + len({0, self.search.count - 1} - self.search.marks.keys())
        self.say(f"step {len(self.steps) + 1}, at most {left} to go: {name}")
        step = self._test(place, budget_s)
        if step.mark is None:
            self.say(f"{name} cannot be told ({step.why}): once more, with twice the budget")
            self.steps.append(step)
            step = self._test(place, 2 * budget_s)
        if step.mark is None:
            step = replace(step, mark=Mark.SKIPPED)
        self.steps.append(step)
        self.search.marks[place] = step.mark or Mark.SKIPPED
        self.say(f"{name}: {step.mark}: {step.change() or step.why}")
        return step

    def _test(self, place: int, budget_s: float) -> BisectStep:
        directory = self.plan.out / f"{len(self.steps) + 1:02}-{self.range.revisions[place].name}"
        sides = {
            Role.BASELINE: self.range.revisions[0].side(),
            Role.CANDIDATE: self.range.revisions[place].side(),
        }
        plan = replace(
            self.plan, specs=sides, budget_s=budget_s, out=directory, start_timeout_s=START_TIMEOUT_S
        )
        session = ReleaseSession(plan, self.say, self.range.means)
        began_s = self.range.means.now()

        def ended(mark: Mark | None, why: str, rows: Sequence[ChangeRow] = ()) -> BisectStep:
            return BisectStep(
                place=place,
                name=self.range.revisions[place].name,
                mark=mark,
                why=why,
                rows=tuple(rows),
                pairs=session.blocks.pairs,
                elapsed_s=self.range.means.now() - began_s,
                directory=directory,
            )

        try:
            installed = session.prepare()
            self.installed[place] = installed[Role.CANDIDATE].installation
            session.execute(installed)
        except (NoPythonError, OSError):  # of this machine, whatever is installed
            raise
        except SIDE_FAULTS as exc:
            if session.at is Role.BASELINE or place in {0, len(self.range.revisions) - 1}:
                raise
            return ended(Mark.SKIPPED, str(exc))
        if not session.blocks.pairs:
            return ended(None, "pair after pair was INVALID")
        page = judged(session.blocks)
        self.keep(page, directory)
        reasons = page.reasons or tuple(
            f"{check.text}: {check.why}" for check in page.checks if check.verdict != "PASS"
        )
        mark = Mark.SKIPPED if page.reasons else MARKS.get(page.verdict)
        return ended(mark, "; ".join(reasons), _rows(plan, page))


def _rows(plan: ReleasePlan, page: Page) -> list[ChangeRow]:
    """What the conditions are about; of `any worse`, what is worse."""
    named = [page.comparison.row(gate.scope, gate.row_name) for gate in plan.gates if not gate.is_any]
    worse = [row for row in page.comparison.rows if row.verdict is ChangeVerdict.WORSE]
    found = [row for row in named if row is not None]
    return found if len(named) == len(plan.gates) else [*found, *(row for row in worse if row not in found)]
