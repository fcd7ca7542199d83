"""The same part of several results files -> samples of a metric, with how many of them are independent."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any

from astrometer.api.metric_table import EXCHANGE_TIMES
from astrometer.compare.bootstrap import Ecdf, Sample, design_effect
from astrometer.measure.tally.histogram import Histogram
from astrometer.measure.tally.tally import TIMELINE_METRICS

ALL = "all"
MOST_STEPS = 120  # of a timeline, for the design effect


class Side(IntEnum):
    """The place of a side wherever there are two."""

    BASELINE = 0
    CANDIDATE = 1


class Effects:
    """The design effects of runs, each worked out once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str, int], float] = {}
        self._steps: dict[tuple[int, str], list[Histogram]] = {}

    def of(self, results: Mapping[str, Any], metric: str, percent: int) -> float:
        """That of the metric; of one without a timeline that of the chats, else of the calls."""
        if metric not in TIMELINE_METRICS:
            present = [name for name in EXCHANGE_TIMES if name in results["metrics"]]
            if not present:
                return 1.0
            metric = present[0]
        key = (id(results), metric, percent)
        if key not in self._known:
            self._known[key] = design_effect(self._timeline(results, metric), percent)
        return self._known[key]

    def forget_steps(self) -> None:
        """Let go of what was decoded: of hundreds of runs it is a gigabyte."""
        self._steps.clear()

    def _timeline(self, results: Mapping[str, Any], metric: str) -> list[Histogram]:
        key = (id(results), metric)
        if key not in self._steps:
            excluded_s = results["window"]["excluded_s"]
            steps = [step for step in results["timeline"]["steps"] if step["t_s"] >= excluded_s]
            every = math.ceil(len(steps) / MOST_STEPS) or 1
            self._steps[key] = [
                Histogram.decode(step["metrics"][metric]["histogram"])
                for step in steps[::every]
                if metric in step["metrics"]
            ]
        return self._steps[key]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeStats:
    """The same part of every run: all of it, or a scenario."""

    scope: str
    sides: tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]
    runs: tuple[list[dict[str, Any]], list[dict[str, Any]]]  # the whole files, for the timeline

    @classmethod
    def of(cls, scope: str, base: list[Any], cand: list[Any]) -> "ScopeStats":
        def part(results: Mapping[str, Any]) -> Mapping[str, Any]:
            stats: Mapping[str, Any] = results if scope == ALL else results["scenarios"][scope]
            return stats

        sides = ([part(results) for results in base], [part(results) for results in cand])
        return cls(scope=scope, sides=sides, runs=(base, cand))

    def counts(self, metric: str, side: Side) -> list[int]:
        """How many samples each run that measured it has."""
        found = (_summary(stats, metric) for stats in self.sides[side])
        return [summary["n"] for summary in found if summary is not None]

    def lacking(self, metric: str) -> dict[Side, str] | None:
        """The sides with a run that did not measure it, in words; None when no run ever did."""
        having = {side: len(self.counts(metric, side)) for side in Side}
        if not any(having.values()):
            return None
        return {
            side: f"measured in only {n} of {of} runs of the {side.name.lower()}"
            if n
            else f"not measured in the {side.name.lower()}"
            for side, n in having.items()
            if n < (of := len(self.sides[side]))
        }

    def samples(self, metric: str, percent: int, effects: Effects) -> tuple[list[Sample], list[Sample]]:
        """The metric of each run, baseline and candidate; none of them may be `lacking` it."""
        base, cand = (
            [
                _sample(stats, metric, effects.of(results, metric, percent))
                for stats, results in zip(side, runs, strict=True)
            ]
            for side, runs in zip(self.sides, self.runs, strict=True)
        )
        return base, cand


def _summary(stats: Mapping[str, Any], metric: str) -> Mapping[str, Any] | None:
    """All attempts, a failed one being infinitely slow: so failing improves no percentile."""
    found: Mapping[str, Any] | None = stats["metrics_all_attempts"].get(metric) or stats["metrics"].get(
        metric
    )
    return found


@lru_cache(maxsize=2048)  # of a session of many blocks: all of them, at every look
def _ecdf(text: str) -> Ecdf:
    """Decoding takes longer than all else."""
    return Ecdf(Histogram.decode(text))


def _sample(stats: Mapping[str, Any], metric: str, effect: float) -> Sample:
    ecdf = _ecdf((_summary(stats, metric) or {})["histogram"])
    turns = stats["turns"]["started"] - stats["turns"]["excluded"]
    # The gaps of one answer are alike: no more of them count than there are turns.
    return Sample(ecdf=ecdf, n=max(1.0, min(ecdf.n, turns) / effect))
