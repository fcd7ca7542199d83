"""A comparison -> its drawings: each change with its interval, the distributions of both sides overlaid."""

import math
from collections.abc import Sequence
from html import escape

from markupsafe import Markup

from astrometer.api.metric_table import EXCHANGE_TIMES
from astrometer.compare.change_verdict import ChangeUnit
from astrometer.compare.comparable import ComparedRun
from astrometer.compare.comparison import Comparison
from astrometer.compare.output.compare_view import Line
from astrometer.measure.tally.histogram import Histogram
from astrometer.report import glossary
from astrometer.report.charts.columns import columns
from astrometer.report.charts.run_charts import Chart
from astrometer.report.charts.svg import Plot, Scale, Tick, linear_ticks, log_ticks
from astrometer.units import format_duration

OVERLAID = ("ttft", "chunk_gap", *EXCHANGE_TIMES, "delivery")
_SHORTEST_S = 1e-4
_POINTS = 160
_MIN_FACTOR = 4  # from one edge of a scale to the other
_EDGES = {  # of the drawn changes
    ChangeUnit.RATIO: (0.1, 0.25, 0.5, 1.0, 2.0),
    ChangeUnit.POINTS: (0.05, 0.1, 0.25, 0.5, 1.0),
    ChangeUnit.BYTES: (2e7, 5e7, 1e8, 1e9),
}
_HEIGHT_PX = 26


def bounds(lines: Sequence[Line]) -> dict[ChangeUnit, float]:
    """How far the axis of changes reaches to either side, for each unit."""
    found = {}
    for unit, edges in _EDGES.items():
        ends = [
            abs(end)
            for line in lines
            if line.row.unit is unit and line.row.interval
            for end in line.row.interval
            if math.isfinite(end)
        ]
        margins = [line.row.margin for line in lines if line.row.unit is unit]
        # The widest quarter may run off the axis, where an arrow stands for it: the others want to be read.
        wanted = max([2.2 * min(margins, default=0), *sorted(ends)[: len(ends) * 3 // 4][-1:]])
        found[unit] = next((edge for edge in edges if edge >= wanted), edges[-1])
    return found


def interval(line: Line, bound: float) -> Markup:
    """The change with its interval between -bound and +bound, on the band in which all is the same."""
    row = line.row
    if row.interval is None or row.change is None:
        return Markup()

    def at(value: float) -> float:
        return 50 + 50 * max(-1.0, min(1.0, value / bound))

    low, high = row.interval
    band = at(-row.margin), at(row.margin)
    left, right, middle, half = at(low), at(high), at(row.change), _HEIGHT_PX / 2
    arrows = "".join(
        f'<text x="{x}%" y="{half + 4}" text-anchor="{anchor}" class="arrow {line.css}">{sign}</text>'
        for beyond, x, anchor, sign in ((low < -bound, 0, "start", "‹"), (high > bound, 100, "end", "›"))
        if beyond
    )
    return Markup(  # noqa: S704 (numbers, and text that is escaped)
        f'<svg class="forest" width="100%" height="{_HEIGHT_PX}" role="img" '
        f'aria-label="{escape(line.title)} changed by {escape(line.change)}, {escape(line.interval)}">'
        f'<rect class="band" x="{band[0]:.2f}%" width="{band[1] - band[0]:.2f}%" y="0" '
        f'height="{_HEIGHT_PX}"/>'
        f'<line class="zero" x1="50%" x2="50%" y1="0" y2="{_HEIGHT_PX}"/>'
        f'<line class="span {line.css}" x1="{left:.2f}%" x2="{right:.2f}%" y1="{half}" y2="{half}"/>'
        f'<circle class="point {line.css}" cx="{middle:.2f}%" cy="{half}" r="4.5"/>{arrows}</svg>'
    )


def overlaid(comparison: Comparison) -> list[Chart]:
    """For each metric that both have: the share of turns that took at most so long, run by run."""
    charts = []
    for metric in OVERLAID:
        sides = [_histograms(runs, metric) for runs in (comparison.base, comparison.cand)]
        if all(sides):
            charts.append(_curves(metric, sides))
    return charts


def over_time(comparison: Comparison) -> Chart | None:
    """The median TTFT (of plain calls their duration) of each run, over the run."""
    for metric in ("ttft", "duration"):
        curves = [
            (css, _medians(run, metric))
            for css, runs in (("of-base", comparison.base), ("of-cand", comparison.cand))
            for run in runs
        ]
        values = [y for _, points in curves for _, y in points if y is not None]
        if not values or any(sum(y is not None for _, y in points) < 2 for _, points in curves):
            continue
        ticks = linear_ticks(max(values), _tick_label)
        last_s = max(x for _, points in curves for x, _ in points)
        title = glossary.metric(metric).title
        plot = Plot(
            title=f"Median {title} over time, both sides",
            x=Scale(low=0, high=last_s),
            y=Scale(low=0, high=ticks[-1].at),
        )
        for css, points in curves:
            plot.line(points, css)
        return Chart(
            title=f"Median {title} over time",
            caption="One line per run, where there are enough samples. Seconds since the run's start.",
            drawing=plot.render(_time_ticks(last_s), ticks),
        )
    return None


def _histograms(runs: Sequence[ComparedRun], metric: str) -> list[Histogram]:
    found = []
    for run in runs:
        summary = run.results["metrics"].get(metric)
        if summary is not None and summary["n"]:
            found.append(Histogram.decode(summary["histogram"]))
    return found


def _curves(metric: str, sides: Sequence[Sequence[Histogram]]) -> Chart:
    whole = Histogram()
    for histogram in (*sides[0], *sides[1]):
        whole.merge(histogram)
    low, high = (max(whole.percentile(percent) or 0.0, _SHORTEST_S) for percent in (0.05, 99.9))
    spare = max(1.15, math.sqrt(_MIN_FACTOR * low / high))
    scale = Scale(low=low / spare, high=high * spare, log=True)
    word = glossary.metric(metric)
    plot = Plot(
        title=f"Share of samples up to a {word.title}", x=scale, y=Scale(low=0, high=1), height_px=220
    )
    at = [scale.low * (scale.high / scale.low) ** (i / _POINTS) for i in range(_POINTS + 1)]
    for css, histograms in zip(("of-base", "of-cand"), sides, strict=True):
        for histogram in histograms:
            shares = [count / histogram.n for count in histogram.cumulative(at)]
            plot.line(list(zip(at, shares, strict=True)), css, dots=False)
    return Chart(
        title=f"{word.title}: share that took at most so long",
        caption=f"{word.meaning.capitalize()}. Successful ones, a line per run; further left is faster.",
        drawing=plot.render(
            log_ticks(scale.low, scale.high, _tick_label),
            [Tick(at=share, label=f"{share:.0%}") for share in (0, 0.25, 0.5, 0.75, 0.95)],
        ),
    )


def _medians(run: ComparedRun, metric: str) -> list[tuple[float, float | None]]:
    found = []
    for column in columns(run.results):
        value = column.histogram(metric).quantile_or_none(50)
        found.append(((column.t0_s + column.t1_s) / 2, value))
    return found


def _tick_label(seconds: float) -> str:
    return format_duration(seconds).replace(".0 ms", " ms").replace(".00 s", " s") if seconds else "0"


def _time_ticks(last_s: float) -> list[Tick]:
    unit_s, letter = (60, "min") if last_s >= 180 else (1, "s")
    ticks = linear_ticks(last_s / unit_s, lambda value: f"{value:g} {letter}", count=5)
    return [Tick(at=t.at * unit_s, label=t.label) for t in ticks if t.at * unit_s <= last_s * 1.001]
