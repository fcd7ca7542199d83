"""What was measured at which load -> the load to measure next, or the answer. Pure; levels are whole numbers.

Doubling finds a level that fails. Between it and the highest that passes, the next is where the margins say
that the limit is crossed, until the gap is small; repeats confirm both. A level is what most of its windows
say. `decide` keeps nothing: the same trials give the same next step, so a search can be followed again from a
results file.

`load.capacity.capacity_search` measures what is asked for here, `search_window` says what one window was
(`judge_window`), and `capacity_result` makes the capacity and its interval of all windows (`believed`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile

MAX_INVALID = 2  # windows in a row in which the generator was held up
MAX_TRIALS = 60
SATURATED_GROWTH = 1.1  # at four times the load
_MARGINS = (0.02, 50.0)
_EDGE = 0.15  # of a bracket: no nearer to its ends


class StepVerdict(StrEnum):
    """What one window said. THIN: nothing against the level, but too few samples to say PASS.

    | verdict | supports | confirms | is_evidence |
    |---|---|---|---|
    | PASS | yes | yes | yes |
    | FAIL | no | yes | yes |
    | THIN | yes | no | yes |
    | INVALID | no | no | no |
    """

    PASS = "PASS"  # noqa: S105 (a verdict, no password)
    FAIL = "FAIL"
    THIN = "THIN"
    INVALID = "INVALID"

    @property
    def supports(self) -> bool:
        """Whether it speaks for its level: the search goes up from there."""
        return self in {StepVerdict.PASS, StepVerdict.THIN}

    @property
    def confirms(self) -> bool:
        """Whether it counts for the answer and its interval: a majority of equal ones confirms a level."""
        return self in {StepVerdict.PASS, StepVerdict.FAIL}

    @property
    def is_evidence(self) -> bool:
        """Whether it says anything about the server."""
        return self is not StepVerdict.INVALID


class SearchEnd(StrEnum):
    CONVERGED = "converged"
    MAXIMUM = "maximum"  # it passes at the highest level that was allowed
    SATURATED = "saturated"  # more load brings no more answers, and no objective breaks
    MINIMUM = "minimum"  # it fails at the lowest level there is
    GENERATOR = "generator"  # the load generator was held up: this says nothing about the server
    NO_DATA = "no_data"  # too few samples for an objective, however long the window
    TRIALS = "trials"  # too many steps: the verdicts contradict each other
    BUDGET = "budget"
    STOPPED = "stopped"
    WORKER_LOST = "worker_lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlan:
    """Where to look. `precision`: the gap that is small enough, as a share of the failing level."""

    start: int
    maximum: int
    minimum: int = 1
    precision: float = 0.05
    repeats: int = 3

    @property
    def majority(self) -> int:
        """So many equal verdicts confirm a level."""
        return self.repeats // 2 + 1

    def is_narrow(self, passing: int, failing: int) -> bool:
        return failing - passing <= max(1, math.floor(self.precision * failing + 1e-9))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One window at a level. `margin`: the worst objective's value over its limit, above 1 it is broken.

    `at_length`: the window was as long as windows may get. `completed_per_s`: good answers that came back.
    """

    level: int
    verdict: StepVerdict
    margin: float | None = None
    completed_per_s: float | None = None
    at_length: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Measure this level next. `thorough`: until there are samples enough for every objective."""

    level: int
    thorough: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchAnswer:
    """The end. Either level is None when there is none."""

    end: SearchEnd
    passing: int | None
    failing: int | None


def decide(plan: SearchPlan, trials: Sequence[Trial]) -> Ask | SearchAnswer:
    if not trials:
        return Ask(level=plan.start, thorough=False)
    if (early := _cannot_go_on(trials)) is not None:
        return early
    last = trials[-1]
    if last.verdict is StepVerdict.INVALID or _is_tied(trials, last.level):
        return Ask(level=last.level, thorough=last.verdict is not StepVerdict.INVALID)
    passing, failing = bracket(trials)
    if failing is None:
        assert passing is not None  # a last trial that neither failed nor is tied
        return _upwards(plan, trials, passing)
    if passing is None:
        if failing > plan.minimum:
            return Ask(level=max(plan.minimum, failing // 2), thorough=False)
        return _confirm(plan, trials, (failing,)) or answer(SearchEnd.MINIMUM, trials)
    if plan.is_narrow(passing, failing):
        return _confirm(plan, trials, (passing, failing)) or answer(SearchEnd.CONVERGED, trials)
    return Ask(level=_between(trials, passing, failing), thorough=False)


def answer(end: SearchEnd, trials: Sequence[Trial]) -> SearchAnswer:
    """What is known when a search ends here."""
    passing, failing = bracket(trials)
    return SearchAnswer(end=end, passing=passing, failing=failing)


def bracket(trials: Sequence[Trial]) -> tuple[int | None, int | None]:
    """The highest passing level below the lowest failing one, and that one; None where there is none."""
    levels = sorted({trial.level for trial in trials})
    failing = next((level for level in levels if _balance(trials, level) < 0), None)
    passing = [
        level for level in levels if _balance(trials, level) > 0 and (failing is None or level < failing)
    ]
    return (passing[-1] if passing else None), failing


def is_saturated(trials: Sequence[Trial]) -> bool:
    """Whether the last two times that the load doubled brought hardly more answers."""
    rates: dict[int, list[float]] = {}
    for trial in trials:
        if trial.verdict.supports and trial.completed_per_s is not None:
            rates.setdefault(trial.level, []).append(trial.completed_per_s)
    if not rates:
        return False
    top = max(rates)
    quarter = max((level for level in rates if level * 4 <= top), default=None)
    if quarter is None:
        return False
    before, after = (sum(rates[level]) / len(rates[level]) for level in (quarter, top))
    return before > 0 and after < SATURATED_GROWTH * before


def invalid_in_a_row(trials: Sequence[Trial]) -> int:
    """How many of the last windows, all at one level, were INVALID."""
    level = trials[-1].level if trials else None
    return len(
        list(
            takewhile(
                lambda trial: trial.verdict is StepVerdict.INVALID and trial.level == level, reversed(trials)
            )
        )
    )


def _cannot_go_on(trials: Sequence[Trial]) -> SearchAnswer | None:
    last = trials[-1]
    if invalid_in_a_row(trials) >= MAX_INVALID:
        return answer(SearchEnd.GENERATOR, trials)
    if last.verdict is StepVerdict.THIN and last.at_length:
        return answer(SearchEnd.NO_DATA, trials)
    return answer(SearchEnd.TRIALS, trials) if len(trials) >= MAX_TRIALS else None


def _upwards(plan: SearchPlan, trials: Sequence[Trial], passing: int) -> Ask | SearchAnswer:
    if passing >= plan.maximum:
        return _confirm(plan, trials, (passing,)) or answer(SearchEnd.MAXIMUM, trials)
    if is_saturated(trials):
        return _confirm(plan, trials, (passing,)) or answer(SearchEnd.SATURATED, trials)
    return Ask(level=min(2 * passing, plan.maximum), thorough=False)


def _confirm(plan: SearchPlan, trials: Sequence[Trial], levels: Sequence[int]) -> Ask | None:
    """A window for the level with the fewest of them: taken in turns, one's backlog is not the other's."""
    missing = []
    for level in levels:
        verdicts = [trial.verdict for trial in trials if trial.level == level]
        if max(verdicts.count(StepVerdict.PASS), verdicts.count(StepVerdict.FAIL)) < plan.majority:
            missing.append((sum(verdict.confirms for verdict in verdicts), level))
    return Ask(level=min(missing)[1], thorough=True) if missing else None


def _between(trials: Sequence[Trial], passing: int, failing: int) -> int:
    """Where the margins say that the worst objective breaks; the middle when that last helped too little."""
    middle = (passing + failing) // 2
    before = bracket(trials[:-1])
    if before[0] is not None and before[1] is not None and 2 * (failing - passing) > before[1] - before[0]:
        return middle
    low, high = (_margin(trials, level) for level in (passing, failing))
    if low is None or high is None or not low < 1 < high:
        return middle
    share = math.log(1 / low) / math.log(high / low)
    share = min(1 - _EDGE, max(_EDGE, share))
    guess = round(passing * math.exp(share * math.log(failing / passing)))
    return min(failing - 1, max(passing + 1, guess))


def _margin(trials: Sequence[Trial], level: int) -> float | None:
    """The geometric mean of the windows there, within bounds: a failure may be infinitely slow."""
    known = [trial.margin for trial in trials if trial.level == level and trial.margin is not None]
    logs = [math.log(min(_MARGINS[1], max(_MARGINS[0], margin))) for margin in known]
    return math.exp(sum(logs) / len(logs)) if logs else None


def _balance(trials: Sequence[Trial], level: int) -> int:
    verdicts = [trial.verdict for trial in trials if trial.level == level]
    return sum(verdict.supports for verdict in verdicts) - verdicts.count(StepVerdict.FAIL)


def _is_tied(trials: Sequence[Trial], level: int) -> bool:
    judged = any(trial.level == level and trial.verdict.is_evidence for trial in trials)
    return judged and _balance(trials, level) == 0
