"""A measured step of a capacity search -> its line of progress."""

from collections.abc import Sequence

from astrometer.measure.capacity_step import Step
from astrometer.measure.capacity_window import results
from astrometer.measure.objectives import Objective, ObjectiveResult, Unit, Verdict
from astrometer.measure.search import Told
from astrometer.measure.search_text import SearchSettings
from astrometer.units import format_duration

WORDS = {Told.PASS: "PASS", Told.FAIL: "FAIL", Told.THIN: "pass?", Told.INVALID: "INVALID"}


def progress_line(settings: SearchSettings, objectives: Sequence[Objective], number: int, step: Step) -> str:
    """`step 3   8 users  PASS   ttft_p95 312 ms (n=240)  7.9 answers/s`."""
    judged = [result for result, _ in results(objectives, step.cell_of, step.told)]
    said = "  ".join(_shown(item) for item in judged)
    why = f"  ({'; '.join(step.causes)})" if step.causes else ""
    load = settings.load_text(step.level)
    rate = f"{step.completed_per_s:.1f} answers/s"
    return f"step {number:<3} {load:>11}  {WORDS[step.told]:<7}  {said}  {rate}{why}"


def _shown(item: ObjectiveResult) -> str:
    objective = item.objective
    name = objective.text.split("<")[0].split(">")[0].strip()
    if item.value is None:
        value = "too few samples"
    elif objective.unit is Unit.SHARE:
        value = f"{item.value * 100:.3g} %"
    else:
        value = format_duration(item.value)
    mark = " ✗" if item.verdict is Verdict.FAIL else ""
    return f"{name} {value}{mark} (n={item.n})"
