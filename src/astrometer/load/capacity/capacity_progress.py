"""A capacity search that goes on -> where it is, and the line of progress of a measured step."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from astrometer.measure.capacity.next_load import MAX_INVALID, StepVerdict
from astrometer.measure.capacity.search_settings import SearchSettings
from astrometer.measure.capacity.search_step import SearchStep
from astrometer.measure.capacity.search_window import objective_results
from astrometer.measure.slo.cause_sentences import sentence
from astrometer.measure.slo.objectives import ObjectiveResult, ObjectiveVerdict
from astrometer.measure.slo.slo_parser import Objective, Unit
from astrometer.units import format_duration

WORDS = {
    StepVerdict.PASS: "PASS",
    StepVerdict.FAIL: "FAIL",
    StepVerdict.THIN: "pass?",
    StepVerdict.INVALID: "INVALID",
}


class Phase(StrEnum):
    CLEARING = "clearing"
    SETTLING = "settling"
    MEASURING = "measuring"
    OVER = "over"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchStatus:
    """Loads are users, or arrivals a second. `judged`: the objectives in the last measured window.

    None: there is no such step or load, so far.
    """

    phase: Phase
    step: int | None
    load: float | None
    passing: float | None
    failing: float | None
    judged: Sequence[ObjectiveResult]


def progress_line(
    settings: SearchSettings, objectives: Sequence[Objective], number: int, step: SearchStep, invalid: int = 0
) -> str:
    """`step 3          8 users  PASS     ttft_p95 312 ms (n=240)  7.9 answers/s`.

    `invalid`: so many windows at this level in a row, this one too, were INVALID.
    """
    judged = [result for result, _ in objective_results(objectives, step.stats_of, step.verdict)]
    said = "  ".join(_shown(item) for item in judged)
    why = f"  ({'; '.join(map(sentence, step.causes))})" if step.causes else ""
    load = settings.load_text(step.level)
    rate = f"{step.completed_per_s:.1f} answers/s"
    again = f"; measuring again ({invalid + 1} of {MAX_INVALID})" if 0 < invalid < MAX_INVALID else ""
    return f"step {number:<3} {load:>14}  {WORDS[step.verdict]:<7}  {said}  {rate}{why}{again}"


def _shown(item: ObjectiveResult) -> str:
    objective = item.objective
    name = objective.text.split("<")[0].split(">")[0].strip()
    if item.value is None and item.verdict is ObjectiveVerdict.FAIL:
        # Whatever the answers that are missing would bring, it is lost.
        return f"{name} not reachable any more ✗ (n={item.n})"
    if item.value is None:
        value = "too few samples"
    elif objective.unit is Unit.SHARE:
        value = f"{item.value * 100:.3g} %"
    else:
        value = format_duration(item.value)
    mark = " ✗" if item.verdict is ObjectiveVerdict.FAIL else ""
    return f"{name} {value}{mark} (n={item.n})"
