"""Runs in order -> each metric of each point, and where its level changed. Numbers only."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TypeGuard

from astrometer.compare.change_verdict import SHARES, ChangeRow, ChangeUnit, ChangeVerdict, judged
from astrometer.compare.comparable import ComparedRun, beside
from astrometer.compare.comparison import COMPARED, MARGIN, ONLY_OPEN, SHARE_MARGIN
from astrometer.compare.rows import errors_row, goodput_row, latency_row
from astrometer.compare.samples import ALL, Effects, ScopeStats
from astrometer.compare.server_rows import server_rows
from astrometer.history.change_points import (
    FEWEST_RUNS,
    MissingRupturesError,
    change_points,
    need_ruptures,
)
from astrometer.history.found_runs import FoundRuns, LeftOut
from astrometer.history.point_values import PointValue, percentile_value, server_point, share_value
from astrometer.history.run_groups import Order, Point, RunGroup, grouped, version_of
from astrometer.measure.slo.slo_parser import OF_SERVER, SERVER_RSS

CHANCE = 0.05  # of any false alarm in a group, all its metrics together
PERCENTS = (50, 95)  # few runs have the samples of a p99
TIMES = (*COMPARED, "queue_wait")


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelChange:
    """From point `at` on the level is another one. `row`: the runs from the step before on, and those after.

    `before` and `after`: the runs on either side. `differs`: what else differs between these two.
    """

    at: int
    row: ChangeRow
    before: ComparedRun
    after: ComparedRun
    differs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSeries:
    """`values` by point. `not_searched`: why no change point was looked for."""

    metric: str
    percent: int | None
    unit: ChangeUnit
    values: tuple[PointValue | None, ...]
    changes: tuple[LevelChange, ...] = ()
    not_searched: str = ""

    @property
    def name(self) -> str:
        return self.metric if self.percent is None else f"{self.metric}_p{self.percent}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupHistory:
    """Runs that can be compared, with everything that was measured in them."""

    group: RunGroup
    series: tuple[MetricSeries, ...]

    @property
    def changes(self) -> list[tuple[MetricSeries, LevelChange]]:
        found = [(series, change) for series in self.series for change in series.changes]
        return sorted(found, key=lambda item: item[1].at)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHistory:
    """All that is known. `missing`: how to install what looks for change points; empty when it is there."""

    order: Order
    groups: tuple[GroupHistory, ...]
    left_out: tuple[LeftOut, ...]
    margin: float
    share_margin: float
    missing: str = ""


def history_of(
    found: FoundRuns, order: Order, *, margin: float = MARGIN, share_margin: float = SHARE_MARGIN
) -> RunHistory:
    """`margin` and `share_margin`: as for `compare`; no smaller change is told."""
    missing = ""
    try:
        need_ruptures()
    except MissingRupturesError as exc:
        missing = str(exc)
    groups, unordered = grouped(found.runs, order)
    search = _Search(margin=margin, share_margin=share_margin, is_off=bool(missing))
    return RunHistory(
        order=order,
        groups=tuple(GroupHistory(group=group, series=tuple(search.series_of(group))) for group in groups),
        left_out=(*found.left_out, *unordered),
        margin=margin,
        share_margin=share_margin,
        missing=missing,
    )


class _Search:
    def __init__(self, *, margin: float, share_margin: float, is_off: bool) -> None:
        self._margin, self._share_margin, self._is_off = margin, share_margin, is_off
        self._effects = Effects()

    def series_of(self, group: RunGroup) -> list[MetricSeries]:
        measured = list(self._measured(group))
        if self._is_off:
            return measured
        judged_series = [replace(series, not_searched=_not_searched(series)) for series in measured]
        tested = sum(not series.not_searched for series in judged_series)
        return [
            series if series.not_searched else replace(series, changes=self._changes(series, CHANCE / tested))
            for series in judged_series
        ]

    def _measured(self, group: RunGroup) -> Iterator[MetricSeries]:
        """Those that at least one point has."""
        is_open = group.runs[0].results["arrivals"] is not None
        for metric in TIMES:
            if metric in ONLY_OPEN and not is_open:
                continue
            by_point = [
                [percentile_value(point, metric, percent, self._effects) for percent in PERCENTS]
                for point in self._each(group)
            ]
            for number, percent in enumerate(PERCENTS):
                values = [found[number] for found in by_point]
                yield from _series(metric, percent, ChangeUnit.RATIO, values)
        for metric in SHARES if _has_one_goodput(group) else ("errors",):
            values = [share_value(point, metric) for point in group.points]
            yield from _series(metric, None, ChangeUnit.POINTS, values)
        for metric in OF_SERVER:
            values = [server_point(point, metric) for point in group.points]
            unit = ChangeUnit.BYTES if metric == SERVER_RSS else ChangeUnit.RATIO
            yield from _series(metric, None, unit, values)

    def _each(self, group: RunGroup) -> Iterator[Point]:
        for point in group.points:
            yield point
            self._effects.forget_steps()

    def _changes(self, series: MetricSeries, chance: float) -> tuple[LevelChange, ...]:
        """Steps that `compare`, too, calls better or worse than the level before."""
        places = [at for at, value in enumerate(series.values) if _is_searched(value)]
        values = [value for value in series.values if _is_searched(value)]
        starts = [sum(len(value.runs) for value in values[:number]) for number in range(len(values))]
        runs = [item for value in values for item in value.runs]
        own = [item.variance for item in runs if math.isfinite(item.variance)]
        steps = change_points(
            [item.at for item in runs], starts, least_variance=fmean(own) if own else 0.0, chance=chance
        )
        kept: list[LevelChange] = []
        edges = [0, *steps, len(values)]
        while steps:  # of each, what `compare` says; where it says nothing, two stretches are one
            step = steps.pop(0)
            before, after = (
                [item.run for value in values[first:last] for item in value.runs]
                for first, last in ((edges[len(kept)], step), (step, edges[len(kept) + 2]))
            )
            row = self._row(series, before, after)
            if row.verdict in {ChangeVerdict.BETTER, ChangeVerdict.WORSE}:
                kept.append(_level_change(places[step], row, before[-1], after[0]))
            else:
                edges.remove(step)
        return tuple(kept)

    def _row(
        self, series: MetricSeries, before: Sequence[ComparedRun], after: Sequence[ComparedRun]
    ) -> ChangeRow:
        scoped = ScopeStats.of(ALL, [run.results for run in before], [run.results for run in after])
        if series.percent is not None:
            row = latency_row(scoped, series.metric, series.percent, self._margin, self._effects)
        elif series.metric in SHARES:
            make = errors_row if series.metric == "errors" else goodput_row
            row = make(scoped, self._share_margin)
        else:
            rows = server_rows(scoped, self._margin, None)
            row = next(row for row in rows if row.metric == series.metric)
        return judged([row])[0]


def _series(
    metric: str, percent: int | None, unit: ChangeUnit, values: Sequence[PointValue | None]
) -> Iterator[MetricSeries]:
    if any(value is not None for value in values):
        yield MetricSeries(metric=metric, percent=percent, unit=unit, values=tuple(values))


def _not_searched(series: MetricSeries) -> str:
    """Why no change point can be looked for."""
    runs = sum(len(value.runs) for value in series.values if _is_searched(value))
    return "" if runs >= FEWEST_RUNS else f"change points need {FEWEST_RUNS} runs"


def _is_searched(value: PointValue | None) -> TypeGuard[PointValue]:
    """Where failures reach a percentile, the errors tell it."""
    return value is not None and math.isfinite(value.value)


def _has_one_goodput(group: RunGroup) -> bool:
    """Whether all runs have the same objectives, and any."""
    objectives = {frozenset(item["text"] for item in run.results["objectives"]) for run in group.runs}
    return len(objectives) == 1 and objectives != {frozenset()}


def _level_change(at: int, row: ChangeRow, before: ComparedRun, after: ComparedRun) -> LevelChange:
    versions = [version_of(run) for run in (before, after)]
    told = [f"AstrBot {versions[0]} → {versions[1]}"] if versions[0] != versions[1] else []
    return LevelChange(at=at, row=row, before=before, after=after, differs=(*told, *beside(before, [after])))
