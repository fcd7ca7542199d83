"""Finished exchanges -> counts and histograms of one process, mergeable without loss.

A tally is kept by (scenario, operation). A worker drains its own with `take` and ships it; the master
merges what it gets. `started` = the sum of the outcomes once nothing is in flight.
"""

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from astrometer.api.chat_exchange import ChatTurn
from astrometer.api.outcome import Outcome
from astrometer.api.usage_evidence import UsageEvidence, broken_off
from astrometer.measure.histogram import Histogram, buckets_of
from astrometer.measure.stalls import THRESHOLD_S, Stalls
from astrometer.measure.timeline import Steps
from astrometer.measure.uploads import SIZE_METRICS
from astrometer.measure.windows import EVERYTHING, Window

TIMELINE_METRICS = ("ttft", "chunk_gap", "e2e", "duration")
STAGE_METRICS = (*TIMELINE_METRICS, "ttft_effective", "e2e_effective", "duration_effective", "schedule_lag")


class Finished(Protocol):
    """What a tally wants of a `ChatTurn` or a `CallResult`."""

    @property
    def outcome(self) -> Outcome: ...
    @property
    def expected(self) -> tuple[str, ...]:
        """The metrics that such an exchange has when it goes well."""
        ...

    def metrics(self) -> Mapping[str, tuple[float, ...]]: ...


F = TypeVar("F", bound=Finished)


class StatsKey(NamedTuple):
    """Where a measurement belongs: the scenario that was run and the operation it made."""

    scenario: str
    operation: str


class StageKey(NamedTuple):
    """A stage of the profile by its number, and one of the scenarios that are judged there on their own."""

    stage: int
    scenario: str


@dataclass(slots=True)
class Stats:
    """Counts and histograms of one operation, or of one step of the timeline."""

    started: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    good: int = 0  # ok, and within every goal
    missed: Counter[str] = field(default_factory=Counter)  # failures, by each metric they owed
    ok: dict[str, Histogram] = field(default_factory=lambda: defaultdict(Histogram))
    failed: dict[str, Histogram] = field(default_factory=lambda: defaultdict(Histogram))
    tokens: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    stalls: Stalls = field(default_factory=Stalls)
    resent: int = 0  # requests that went out again, since the server had closed the kept connection
    # Of the ok ones: chats that count no tokens, as the failures that they were if others count some.
    uncounted: "Stats | None" = None

    def finish(
        self,
        turn: Finished,
        *,
        good: bool,
        buckets: Mapping[str, Sequence[int]] | None = None,
        only: tuple[str, ...] | None = None,
        stalls: Stalls | None = None,
    ) -> None:
        """Count one ended exchange; `only` limits which metrics are kept.

        `buckets`: those of its metrics, when somebody looked them up already.
        """
        if buckets is None:
            buckets = buckets_by_metric(turn.metrics())
        self.outcomes[turn.outcome.value] += 1
        self.good += good
        self.resent += getattr(turn, "resent", 0)
        if stalls is not None:
            self.stalls.add(stalls)
        if not turn.outcome.is_ok:
            self.missed.update(turn.expected)
        histograms = self.ok if turn.outcome.is_ok else self.failed
        for name in buckets if only is None else only:
            if name in buckets:
                histograms[name].add_buckets(buckets[name])
        if turn.outcome.is_ok and isinstance(turn, ChatTurn) and turn.is_uncounted:
            self.uncounted = self.uncounted or Stats()
            self.uncounted.finish(broken_off(turn), good=good, buckets=buckets, only=only)

    def fail_uncounted(self) -> None:
        """The model does report usage: what counted none was broken off, and did not go well."""
        broken, self.uncounted = self.uncounted, None
        if broken is None:
            return
        self.outcomes -= Counter({"ok": broken.outcomes.total()})
        self.good -= broken.good
        broken.good = 0
        for name, histogram in broken.failed.items():
            self.ok[name].subtract(histogram)
            if not self.ok[name].n:
                del self.ok[name]
        self.merge(broken)

    def merge(self, other: "Stats", only: Collection[str] | None = None) -> None:
        """Add what `other` counted; `only` limits which metrics are added."""
        self.started += other.started
        self.good += other.good
        self.resent += other.resent
        self.outcomes.update(other.outcomes)
        self.missed.update(other.missed)
        self.tokens.update(other.tokens)
        self.bytes.update(other.bytes)
        self.stalls.add(other.stalls)
        if other.uncounted is not None:
            self.uncounted = self.uncounted or Stats()
            self.uncounted.merge(other.uncounted, only)
        for mine, theirs in ((self.ok, other.ok), (self.failed, other.failed)):
            for name, histogram in theirs.items():
                if only is None or name in only:
                    mine[name].merge(histogram)

    def attempts(self, metric: str) -> Histogram:
        """The ok samples of `metric`, and each failed exchange that owed one as infinitely slow.

        So failing cannot improve a percentile.
        """
        histogram = Histogram()
        if metric in self.ok:
            histogram.merge(self.ok[metric])
        if self.missed[metric]:
            histogram.record(math.inf, self.missed[metric])
        return histogram

    def schedule_lag(self) -> Histogram:
        """How late each arrival began, well or badly as it ended; one that was dropped never did."""
        lag = Histogram()
        for histograms in (self.ok, self.failed):
            if "schedule_lag" in histograms:
                lag.merge(histograms["schedule_lag"])
        return lag

    def to_wire(self) -> dict[str, Any]:
        return {
            "started": self.started,
            "good": self.good,
            "resent": self.resent,
            "outcomes": dict(self.outcomes),
            "missed": dict(self.missed),
            "ok": {name: histogram.to_wire() for name, histogram in self.ok.items()},
            "failed": {name: histogram.to_wire() for name, histogram in self.failed.items()},
            "tokens": dict(self.tokens),
            "bytes": dict(self.bytes),
            "stalls": self.stalls.to_wire(),
            "uncounted": None if self.uncounted is None else self.uncounted.to_wire(),
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> "Stats":
        cell = cls(
            started=wire["started"],
            good=wire["good"],
            resent=wire["resent"],
            outcomes=Counter(wire["outcomes"]),
            missed=Counter(wire["missed"]),
            tokens=Counter(wire["tokens"]),
            bytes=Counter(wire["bytes"]),
            stalls=Stalls.from_wire(wire["stalls"]),
            uncounted=None if wire["uncounted"] is None else cls.from_wire(wire["uncounted"]),
        )
        for mine, theirs in ((cell.ok, wire["ok"]), (cell.failed, wire["failed"])):
            mine.update({name: Histogram.from_wire(value) for name, value in theirs.items()})
        return cell


class Tally:
    """The measurements of one process, or of several merged. Times are seconds since the run's start.

    `goals`: the most that one good exchange may take, in seconds, by metric. An exchange is good when it
    is ok and within every goal that applies to its kind; a missing metric is not good.
    `window`: what began outside of it is counted in `excluded`, and only there.
    `stages`: when each stage of the load's profile begins, ascending; what began in the window counts in its
    stage as well. `scenario_goals`: of scenarios that have goals of their own, all of theirs; they are kept
    apart in each stage too. `judged`: metrics that a stage keeps because somebody will judge them.
    `stall_s`: a chunk gap longer than this is a stall.
    """

    def __init__(
        self,
        goals: Mapping[str, float] | None = None,
        window: Window = EVERYTHING,
        stages: Sequence[float] = (),
        *,
        scenario_goals: Mapping[str, Mapping[str, float]] | None = None,
        judged: Iterable[str] = (),
        stall_s: float = THRESHOLD_S,
    ) -> None:
        self._goals = dict(goals or {})
        self._scenario_goals = {name: dict(own) for name, own in (scenario_goals or {}).items()}
        self._window = window
        self._stall_s = stall_s
        self._stages = tuple(stages)
        self._stage_metrics = tuple(dict.fromkeys((*STAGE_METRICS, *judged)))
        self._usage = UsageEvidence()
        self.stages: dict[int, Stats] = defaultdict(Stats)  # by the number of the stage, from 0
        self.stage_scenarios: dict[StageKey, Stats] = defaultdict(Stats)
        self.excluded: dict[StatsKey, Stats] = defaultdict(Stats)
        self.cells: dict[StatsKey, Stats] = defaultdict(Stats)
        self.timeline = Steps(Stats, Stats.from_wire)
        self.sizes: dict[int, Stats] = defaultdict(
            Stats
        )  # uploads of the window that ended, by their size class

    def started(self, scenario: str, operation: str, t_s: float) -> None:
        """An exchange intended at `t_s` begins: count it before anything can go wrong."""
        self.cell(scenario, operation, t_s).started += 1
        self.timeline.at(t_s).started += 1
        for stage in self._stages_of(scenario, t_s):
            stage.started += 1

    def finished(self, scenario: str, operation: str, t_s: float, turn: F) -> F:
        """It ended, in whatever way. `t_s` is that of its start: it counts where it began.

        Returns the exchange as it was counted: an answer that counts no tokens fails as soon as others do.
        """
        if isinstance(turn, ChatTurn):
            turn = cast("F", self._settled(turn))
        cell = self.cell(scenario, operation, t_s)
        metrics = turn.metrics()
        good = self._is_good(scenario, turn, metrics)
        buckets = buckets_by_metric(metrics)
        stalls = Stalls.of(metrics.get("chunk_gap", ()), turn.outcome, self._stall_s)
        cell.finish(turn, good=good, buckets=buckets, stalls=stalls)
        for name in ("input_tokens", "output_tokens"):
            cell.tokens[name] += getattr(turn, name, 0)
        for name in ("bytes_sent", "bytes_received"):
            cell.bytes[name] += getattr(turn, name, 0)
        step = self.timeline.at(t_s)
        step.finish(turn, good=good, buckets=buckets, only=TIMELINE_METRICS, stalls=stalls)
        for stage in self._stages_of(scenario, t_s):
            stage.finish(turn, good=good, buckets=buckets, only=self._stage_metrics, stalls=stalls)
        size_class: int | None = getattr(turn, "size_class", None)
        if size_class is not None and self._window.holds(t_s):
            size = self.sizes[size_class]
            size.started += 1
            size.finish(turn, good=good, buckets=buckets, only=SIZE_METRICS)
            size.bytes["bytes_sent"] += getattr(turn, "bytes_sent", 0)
        return turn

    def _settled(self, turn: ChatTurn) -> ChatTurn:
        known = self.counts_usage
        turn = self._usage.settle(turn)
        if self.counts_usage and not known:
            self._fail_uncounted()
        return turn

    @property
    def counts_usage(self) -> bool:
        """Whether a chat was seen whose tokens were counted."""
        return bool(self._usage.counted)

    def _fail_uncounted(self) -> None:
        for cells in (self.cells, self.excluded, self.stages, self.stage_scenarios):
            for cell in cells.values():
                cell.fail_uncounted()
        self.timeline.change(Stats.fail_uncounted)

    def _stages_of(self, scenario: str, t_s: float) -> list[Stats]:
        """Nothing falls between: before the first stage is in the first, after the last in the last."""
        if not self._stages or not self._window.holds(t_s):
            return []
        number = max(0, bisect_right(self._stages, t_s) - 1)
        own = [self.stage_scenarios[StageKey(number, scenario)]] if scenario in self._scenario_goals else []
        return [self.stages[number], *own]

    def cell(self, scenario: str, operation: str, t_s: float) -> Stats:
        """Where an exchange that was intended at `t_s` is counted."""
        cells = self.cells if self._window.holds(t_s) else self.excluded
        return cells[StatsKey(scenario, operation)]

    def _is_good(self, scenario: str, turn: Finished, metrics: Mapping[str, Sequence[float]]) -> bool:
        if not turn.outcome.is_ok:
            return False
        goals = self._scenario_goals.get(scenario, self._goals)
        owed = [name for name in goals if name in turn.expected or name in metrics]
        return all(name in metrics and max(metrics[name]) <= goals[name] for name in owed)

    def merge(self, other: "Tally") -> None:
        if self.counts_usage != other.counts_usage:
            (self if other.counts_usage else other)._learn_of_usage()
        for mine, theirs in ((self.cells, other.cells), (self.excluded, other.excluded)):
            for key, cell in theirs.items():
                mine[key].merge(cell)
        self.timeline.merge(other.timeline)
        for number, cell in other.stages.items():
            self.stages[number].merge(cell)
        for number, cell in other.sizes.items():
            self.sizes[number].merge(cell)
        for stage, cell in other.stage_scenarios.items():
            self.stage_scenarios[stage].merge(cell)

    def _learn_of_usage(self) -> None:
        self._usage.counted = True
        self._fail_uncounted()

    def take(self) -> "Tally":
        """Return what was collected since the last call, and begin anew."""
        taken = Tally()
        taken._usage.counted = self._usage.counted
        taken.cells, self.cells = self.cells, defaultdict(Stats)
        taken.excluded, self.excluded = self.excluded, defaultdict(Stats)
        taken.timeline = self.timeline.take()
        taken.stages, self.stages = self.stages, defaultdict(Stats)
        taken.sizes, self.sizes = self.sizes, defaultdict(Stats)
        taken.stage_scenarios, self.stage_scenarios = self.stage_scenarios, defaultdict(Stats)
        return taken

    def total(self, scenario: str | None = None, *, only: Collection[str] | None = None) -> Stats:
        """All operations together, or those of one scenario; the window only. `only`: these metrics."""
        return _sum(self.cells, scenario, only)

    def total_excluded(self, scenario: str | None = None) -> Stats:
        """The same for what began in the ramp or the warm-up."""
        return _sum(self.excluded, scenario)

    @property
    def in_flight(self) -> int:
        cells = [*self.cells.values(), *self.excluded.values()]
        return sum(cell.started - cell.outcomes.total() for cell in cells)

    def encode(self) -> dict[str, Any]:
        """Plain data for msgpack or JSON."""
        return {
            "counts_usage": self.counts_usage,
            "cells": [[*key, cell.to_wire()] for key, cell in self.cells.items()],
            "excluded": [[*key, cell.to_wire()] for key, cell in self.excluded.items()],
            "timeline": self.timeline.to_wire(),
            "stages": [[number, cell.to_wire()] for number, cell in self.stages.items()],
            "sizes": [[number, cell.to_wire()] for number, cell in self.sizes.items()],
            "stage_scenarios": [[*stage, cell.to_wire()] for stage, cell in self.stage_scenarios.items()],
        }

    @classmethod
    def decode(cls, wire: Mapping[str, Any]) -> "Tally":
        tally = cls()
        tally._usage.counted = wire["counts_usage"] or None
        for mine, theirs in ((tally.cells, wire["cells"]), (tally.excluded, wire["excluded"])):
            mine.update({StatsKey(scn, op): Stats.from_wire(cell) for scn, op, cell in theirs})
        tally.timeline.add_wire(wire["timeline"])
        tally.stages.update({int(number): Stats.from_wire(cell) for number, cell in wire["stages"]})
        tally.sizes.update({int(number): Stats.from_wire(cell) for number, cell in wire["sizes"]})
        tally.stage_scenarios.update(
            {
                StageKey(int(number), scn): Stats.from_wire(cell)
                for number, scn, cell in wire["stage_scenarios"]
            }
        )
        return tally


def buckets_by_metric(metrics: Mapping[str, Sequence[float]]) -> dict[str, list[int]]:
    return {name: buckets_of(values) for name, values in metrics.items()}


def _sum(cells: Mapping[StatsKey, Stats], scenario: str | None, only: Collection[str] | None = None) -> Stats:
    total = Stats()
    for key, cell in cells.items():
        if scenario is None or key.scenario == scenario:
            total.merge(cell, only)
    return total
