"""Finished exchanges -> counts and histograms of one process, mergeable without loss.

A tally is kept by (scenario, operation). A worker drains its own with `take` and ships it; the master
merges what it gets. `started` = the sum of the outcomes once nothing is in flight.
"""

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from astrometer.api.outcome import Outcome
from astrometer.measure.histogram import Histogram
from astrometer.measure.windows import EVERYTHING, Window

TIMELINE_METRICS = ("ttft", "chunk_gap", "e2e", "duration")
TIMELINE_STEP_S = 5
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


class Key(NamedTuple):
    """Where a measurement belongs: the scenario that was run and the operation it made."""

    scenario: str
    operation: str


@dataclass(slots=True)
class Cell:
    """Counts and histograms of one operation, or of one step of the timeline."""

    started: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    good: int = 0  # ok, and within every goal
    missed: Counter[str] = field(default_factory=Counter)  # failures, by each metric they owed
    ok: dict[str, Histogram] = field(default_factory=lambda: defaultdict(Histogram))
    failed: dict[str, Histogram] = field(default_factory=lambda: defaultdict(Histogram))
    tokens: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)

    def finish(self, turn: Finished, *, good: bool, only: tuple[str, ...] | None = None) -> None:
        """Count one ended exchange; `only` limits which metrics are kept."""
        self.outcomes[turn.outcome.value] += 1
        self.good += good
        if not turn.outcome.is_ok:
            self.missed.update(turn.expected)
        histograms = self.ok if turn.outcome.is_ok else self.failed
        for name, values in turn.metrics().items():
            if only is None or name in only:
                histograms[name].record_all(values)

    def merge(self, other: "Cell") -> None:
        self.started += other.started
        self.good += other.good
        self.outcomes.update(other.outcomes)
        self.missed.update(other.missed)
        self.tokens.update(other.tokens)
        self.bytes.update(other.bytes)
        for mine, theirs in ((self.ok, other.ok), (self.failed, other.failed)):
            for name, histogram in theirs.items():
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

    def to_wire(self) -> dict[str, Any]:
        return {
            "started": self.started,
            "good": self.good,
            "outcomes": dict(self.outcomes),
            "missed": dict(self.missed),
            "ok": {name: histogram.to_wire() for name, histogram in self.ok.items()},
            "failed": {name: histogram.to_wire() for name, histogram in self.failed.items()},
            "tokens": dict(self.tokens),
            "bytes": dict(self.bytes),
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> "Cell":
        cell = cls(
            started=wire["started"],
            good=wire["good"],
            outcomes=Counter(wire["outcomes"]),
            missed=Counter(wire["missed"]),
            tokens=Counter(wire["tokens"]),
            bytes=Counter(wire["bytes"]),
        )
        for mine, theirs in ((cell.ok, wire["ok"]), (cell.failed, wire["failed"])):
            mine.update({name: Histogram.from_wire(value) for name, value in theirs.items()})
        return cell


class Tally:
    """The measurements of one process, or of several merged. Times are wall-clock seconds (epoch).

    `goals`: the most that one good exchange may take, in seconds, by metric. An exchange is good when it
    is ok and within every goal that applies to its kind; a missing metric is not good.
    `window`: what began outside of it is counted in `excluded`, and only there.
    `stages`: when each stage of the load's profile begins, ascending; what began in the window counts in its
    stage as well.
    """

    def __init__(
        self,
        goals: Mapping[str, float] | None = None,
        window: Window = EVERYTHING,
        stages: Sequence[float] = (),
    ) -> None:
        self._goals = dict(goals or {})
        self._window = window
        self._stages = tuple(stages)
        self.stages: dict[int, Cell] = defaultdict(Cell)  # by the number of the stage, from 0
        self.excluded: dict[Key, Cell] = defaultdict(Cell)
        self.cells: dict[Key, Cell] = defaultdict(Cell)
        self.timeline: dict[int, Cell] = defaultdict(Cell)  # by the start of the step, epoch seconds

    def started(self, scenario: str, operation: str, wall_s: float) -> None:
        """An exchange intended at `wall_s` begins: count it before anything can go wrong."""
        self.cell(scenario, operation, wall_s).started += 1
        self.timeline[_step(wall_s)].started += 1
        if self._stages and self._window.holds(wall_s):
            self._stage(wall_s).started += 1

    def finished(self, scenario: str, operation: str, wall_s: float, turn: Finished) -> None:
        """It ended, in whatever way. `wall_s` is that of its start: it counts where it began."""
        cell = self.cell(scenario, operation, wall_s)
        good = self._is_good(turn)
        cell.finish(turn, good=good)
        for name in ("input_tokens", "output_tokens"):
            cell.tokens[name] += getattr(turn, name, 0)
        for name in ("bytes_sent", "bytes_received"):
            cell.bytes[name] += getattr(turn, name, 0)
        self.timeline[_step(wall_s)].finish(turn, good=good, only=TIMELINE_METRICS)
        if self._stages and self._window.holds(wall_s):
            self._stage(wall_s).finish(turn, good=good, only=STAGE_METRICS)

    def _stage(self, wall_s: float) -> Cell:
        """Nothing falls between: before the first stage is in the first, after the last in the last."""
        return self.stages[max(0, bisect_right(self._stages, wall_s) - 1)]

    def cell(self, scenario: str, operation: str, wall_s: float) -> Cell:
        """Where an exchange that was intended at `wall_s` is counted."""
        cells = self.cells if self._window.holds(wall_s) else self.excluded
        return cells[Key(scenario, operation)]

    def _is_good(self, turn: Finished) -> bool:
        if not turn.outcome.is_ok:
            return False
        metrics = turn.metrics()
        owed = [name for name in self._goals if name in turn.expected or name in metrics]
        return all(name in metrics and max(metrics[name]) <= self._goals[name] for name in owed)

    def merge(self, other: "Tally") -> None:
        for mine, theirs in ((self.cells, other.cells), (self.excluded, other.excluded)):
            for key, cell in theirs.items():
                mine[key].merge(cell)
        for step, cell in other.timeline.items():
            self.timeline[step].merge(cell)
        for number, cell in other.stages.items():
            self.stages[number].merge(cell)

    def take(self) -> "Tally":
        """Return what was collected since the last call, and begin anew."""
        taken = Tally()
        taken.cells, self.cells = self.cells, defaultdict(Cell)
        taken.excluded, self.excluded = self.excluded, defaultdict(Cell)
        taken.timeline, self.timeline = self.timeline, defaultdict(Cell)
        taken.stages, self.stages = self.stages, defaultdict(Cell)
        return taken

    def total(self, scenario: str | None = None) -> Cell:
        """All operations together, or those of one scenario; the window only."""
        return _sum(self.cells, scenario)

    def total_excluded(self, scenario: str | None = None) -> Cell:
        """The same for what began in the ramp or the warm-up."""
        return _sum(self.excluded, scenario)

    @property
    def in_flight(self) -> int:
        cells = [*self.cells.values(), *self.excluded.values()]
        return sum(cell.started - cell.outcomes.total() for cell in cells)

    def encode(self) -> dict[str, Any]:
        """Plain data for msgpack or JSON."""
        return {
            "cells": [[*key, cell.to_wire()] for key, cell in self.cells.items()],
            "excluded": [[*key, cell.to_wire()] for key, cell in self.excluded.items()],
            "timeline": [[step, cell.to_wire()] for step, cell in self.timeline.items()],
            "stages": [[number, cell.to_wire()] for number, cell in self.stages.items()],
        }

    @classmethod
    def decode(cls, wire: Mapping[str, Any]) -> "Tally":
        tally = cls()
        for mine, theirs in ((tally.cells, wire["cells"]), (tally.excluded, wire["excluded"])):
            mine.update({Key(scn, op): Cell.from_wire(cell) for scn, op, cell in theirs})
        tally.timeline.update({int(step): Cell.from_wire(cell) for step, cell in wire["timeline"]})
        tally.stages.update({int(number): Cell.from_wire(cell) for number, cell in wire["stages"]})
        return tally


def _sum(cells: Mapping[Key, Cell], scenario: str | None) -> Cell:
    total = Cell()
    for key, cell in cells.items():
        if scenario is None or key.scenario == scenario:
            total.merge(cell)
    return total


def _step(wall_s: float) -> int:
    return int(wall_s) // TIMELINE_STEP_S * TIMELINE_STEP_S
