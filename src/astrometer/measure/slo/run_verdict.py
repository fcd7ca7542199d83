"""What was measured and asked for, and how the run ended -> the verdict of the run and of each stage.

`measure.results.document` (`build`) makes a PASS or NONE DRIFTING where the run was not steady. A search has
its verdict from `measure.capacity.capacity_result` (`conclude_search`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from astrometer import exit_codes
from astrometer.api.outcome import Outcome
from astrometer.measure.server_usage import ServerUsage
from astrometer.measure.slo.objectives import (
    ObjectiveResult,
    ObjectiveVerdict,
    distrust,
    evaluate,
    evaluate_objectives,
)
from astrometer.measure.slo.slo_parser import Objective
from astrometer.measure.slo.validity import Cause, CauseKind, measurement_errors, no_data
from astrometer.measure.tally.exchange_stats import Stats
from astrometer.measure.tally.tally import StageKey, Tally


class StopReason(StrEnum):
    OBJECTIVE = "objective"
    BUDGET = "budget"
    INTERRUPTED = "interrupted"  # by a signal: Ctrl-C, SIGTERM, a closed terminal
    WEB_UI = "web_ui"  # by a person who pressed Stop there
    LOCUSTFILE = "locustfile"  # by code that is not astrometer's


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A run that was ended early, in order: nothing new began, what ran was drained.

    `sentence` for people; `at_s` since the run's start; `objective`: the text of the one that was not met.
    """

    by: StopReason
    sentence: str
    at_s: float
    objective: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "by": self.by.value,
            "sentence": self.sentence,
            "at_s": self.at_s,
            "objective": self.objective,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """The end of it. `causes`: why it is INVALID or DRIFTING, else empty."""

    verdict: str
    causes: tuple[Cause, ...]
    objectives: tuple[ObjectiveResult, ...]


def conclude(
    tally: Tally,
    objectives: Sequence[Objective],
    window_s: float,
    *,
    untrusted: Iterable[Cause] = (),
    stop: Stop | None = None,
    waived: bool = False,
    server: ServerUsage | None = None,
) -> Conclusion:
    """Judge a run. `untrusted`: what else makes it INVALID.

    Without objectives nothing is judged (NONE), but a run in which no exchange succeeded has failed, unless
    that is `waived`.

    A run that an objective ended has failed, whether or not the others had enough samples by then. One that a
    signal ended is INVALID: nobody knows what the rest would have been. A person who watched the run in the
    web UI, or the locustfile, ended it on purpose: what was measured is judged.
    """
    judged = evaluate_objectives(objectives, tally, window_s, server)
    causes = list(untrusted)
    if stop is not None and stop.by is StopReason.INTERRUPTED:
        causes.append(Cause(kind=CauseKind.CUT_SHORT, value=stop.at_s, detail=stop.sentence))
    if causes:
        judged = distrust(judged)
    failed_early = stop is not None and stop.by is StopReason.OBJECTIVE
    if stop is not None and failed_early and not causes:
        # What was drained afterwards cannot make good why it was ended.
        judged = [
            replace(item, verdict=ObjectiveVerdict.FAIL) if item.objective.text == stop.objective else item
            for item in judged
        ]
    if not failed_early:
        causes += [no_data(item, tally) for item in judged if item.verdict is ObjectiveVerdict.NO_DATA]
        causes += measurement_errors(judged)
    if causes:
        verdict = "INVALID"
    elif failed_early:
        verdict = ObjectiveVerdict.FAIL.value
    elif not judged:
        verdict = "FAIL" if not waived and _nothing_succeeded(tally) else "NONE"
    else:
        verdict = "PASS" if all(item.verdict is ObjectiveVerdict.PASS for item in judged) else "FAIL"
    return Conclusion(verdict=verdict, causes=tuple(causes), objectives=tuple(judged))


def exit_code(results: Mapping[str, Any]) -> int:
    """How a command ends that made these `results.json`."""
    if (results["stopped"] or {}).get("by") == StopReason.INTERRUPTED:
        return exit_codes.INTERRUPTED
    return exit_codes.BY_VERDICT[results["verdict"]]


def _nothing_succeeded(tally: Tally) -> bool:
    outcomes = tally.total().outcomes + tally.total_excluded().outcomes
    return outcomes.total() > 0 and not outcomes[Outcome.OK.value]


def judge_stage(
    objectives: Sequence[Objective], tally: Tally, number: int, length_s: float, *, trusted: bool
) -> list[ObjectiveResult]:
    """The same objectives on what began in one stage, without those of the server's process.

    `trusted` False: the stage is not, or the whole run.
    """
    nothing = Stats()
    whole = tally.stages.get(number, nothing)
    judged = []
    for objective in objectives:
        if objective.unit.is_of_server:
            continue
        own = objective.scenario
        stats = whole if own is None else tally.stage_scenarios.get(StageKey(number, own), nothing)
        judged.append(evaluate(objective, stats, length_s))
    return judged if trusted else distrust(judged)
