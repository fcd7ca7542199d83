"""A history -> a chart for each metric: points with their intervals, levels, and where they changed."""

import math
from collections.abc import Sequence
from itertools import groupby, pairwise

from astrometer.compare import change_text
from astrometer.compare.change_verdict import ChangeUnit
from astrometer.compare.output.compare_view import words
from astrometer.history import history_view
from astrometer.history.point_values import PointValue
from astrometer.history.run_groups import Order, Point
from astrometer.history.run_history import GroupHistory, MetricSeries
from astrometer.report import formatting
from astrometer.report.charts.run_charts import Chart
from astrometer.report.charts.svg import Plot, Scale, Tick, linear_ticks

_MOST_LABELS = 6  # under the x axis


def charts(group: GroupHistory, order: Order) -> list[Chart]:
    """One for each metric, its percentiles together."""
    by_metric = groupby(group.series, key=lambda series: series.metric)
    return [_chart(group.group.points, list(series), order) for _, series in by_metric]


def _chart(points: Sequence[Point], series: Sequence[MetricSeries], order: Order) -> Chart:
    first = series[0]
    name, meaning = words(first.metric)
    low, high = _range(series)
    ticks = linear_ticks(high, lambda value: _label(value, first.unit))
    if low < 0:
        step = ticks[1].at
        ticks = [
            Tick(at=step * number, label=_label(step * number, first.unit))
            for number in range(math.floor(low / step), len(ticks))
        ]
    changed = next((item for item in series if item.changes), first)
    rows_px = 15 * len(changed.changes)
    # Half a place is free on either side, so that no point lies on an edge.
    plot = Plot(
        title=f"{name} by {order.value}",
        x=Scale(low=-0.5, high=len(points) - 0.5),
        y=Scale(low=ticks[0].at, high=ticks[-1].at),
        head_px=10 + rows_px,
        height_px=180 + rows_px,
    )
    for number, item in enumerate(series):
        _draw(plot, points, item, order, "p50" if number == 0 else "p95")
    marks = [
        (change.at - 0.5, change_text.change(change.row.change, changed.unit)) for change in changed.changes
    ]
    plot.markers(marks)
    legend = tuple((f"of-p{item.percent}", f"p{item.percent}") for item in series if item.percent is not None)
    return Chart(
        title=name,
        caption=f"{meaning[:1].upper()}{meaning[1:]}.",
        drawing=plot.render(_x_ticks(points, order), ticks),
        legend=legend,
    )


def _draw(plot: Plot, points: Sequence[Point], series: MetricSeries, order: Order, css: str) -> None:
    edges = [0, *(change.at for change in series.changes), len(points)]
    for (start, end), css_level in zip(pairwise(edges), _of_levels(series), strict=True):
        known = [value for value in series.values[start:end] if value is not None]
        if series.changes and known:
            plot.level(start - 0.5, end - 0.5, _middle(series, start, known), f"level {css_level}")
    for at, value in enumerate(series.values):
        if value is None or math.isinf(value.value):
            continue
        low, high = (min(max(end, plot.y.low), plot.y.high) for end in value.interval)
        plot.line([(at, low), (at, high)], f"{css} whisker", dots=False)
        told = f"{history_view.place(points[at], order)} ({history_view.about(points[at], order)})"
        tip = f"{told}: {history_view.title(series)} {_value_text(series, value)}"
        plot.point(at, value.value, css, tip=tip, radius=4)


def _of_levels(series: MetricSeries) -> list[str]:
    """The first level has no verdict."""
    return ["same", *(change.row.verdict.value for change in series.changes)]


def _middle(series: MetricSeries, start: int, known: Sequence[PointValue]) -> float:
    """The level that a change leads to, as it is told; of the first one that it begins at."""
    for change in series.changes:
        if change.at == start and change.row.cand is not None:
            return change.row.cand
    told = series.changes[0].row.base
    return known[0].value if told is None else told


def _value_text(series: MetricSeries, value: PointValue) -> str:
    low, high = (change_text.value_text(end, series.unit) for end in value.interval)
    return (
        f"{change_text.value_text(value.value, series.unit)} ({low} to {high}), n {formatting.count(value.n)}"
    )


def _range(series: Sequence[MetricSeries]) -> tuple[float, float]:
    """Of the axis: the values, and intervals unless they are far wider than these."""
    values = [
        value for item in series for value in item.values if value is not None and math.isfinite(value.value)
    ]
    most = max((value.value for value in values), default=0.0)
    least = min((value.value for value in values), default=0.0)
    ends = [end for value in values for end in value.interval if math.isfinite(end)]
    high = min(max([most, *ends]), 1.6 * most) if most > 0 else most
    low = max(min([least, *ends]), 1.6 * least) if least < 0 else 0.0
    return low, high


def _label(value: float, unit: ChangeUnit) -> str:
    if unit is ChangeUnit.POINTS:
        return f"{value * 100:.3g} %"
    text = change_text.value_text(value, unit)
    return text.replace(".0 ms", " ms").replace(".00 s", " s").replace(".0 MB", " MB") if value else "0"


def _x_ticks(points: Sequence[Point], order: Order) -> list[Tick]:
    """Versions, or days, each where it begins and where there is room for it."""
    room = math.ceil(len(points) / _MOST_LABELS)
    ticks, last = [], -room
    for at, point in enumerate(points):
        is_new = at == 0 or _short(point, order) != _short(points[at - 1], order)
        text = _short(point, order) if is_new and at - last >= room else ""
        last = at if text else last
        ticks.append(Tick(at=at, label=text))
    return ticks


def _short(point: Point, order: Order) -> str:
    """`4.29.3`, `11-15`."""
    text = history_view.place(point, order)
    return text[:12] if order is Order.VERSION else text[5:10]
