"""The stages of a results file -> how latency went from stage to stage, and how it grew with the load."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from astrometer.report import formatting, glossary
from astrometer.report.charts.objective_limits import limits_on
from astrometer.report.charts.run_charts import Chart, tick_label, time_ticks
from astrometer.report.charts.svg import Plot, Scale, Tick, linear_ticks, log_ticks

_LINES = ((50, "p50"), (95, "p95"))
_MIN_FACTOR = 4  # from one edge of the scale to the other, so that noise does not look like news


def per_stage(results: Mapping[str, Any], metric: str) -> Chart | None:
    """A level per stage, over the time it took; None without stages or samples."""
    stages = results["stages"]
    points, limits = _percentiles(stages, metric), limits_on(results, metric)
    scale = _scale(points, limits)
    if scale is None or len(stages) < 2:
        return None
    word = glossary.metric(metric)
    plot = Plot(
        title=f"{word.title} by stage",
        x=Scale(low=stages[0]["start_s"], high=stages[-1]["end_s"]),
        y=scale,
    )
    for stage, values in zip(stages, points, strict=True):
        for (percent, css), value in zip(_LINES, values, strict=True):
            if value is not None:
                n = stage["metrics"][metric]["n"]
                shown = f"p{percent} {formatting.duration(value)}, n {formatting.count(n)}"
                tip = f"{formatting.plain(stage['name'])}: {shown}"
                plot.level(stage["start_s"], stage["end_s"], value, css, tip=tip)
    for limit_s, text in limits:
        plot.level(plot.x.low, plot.x.high, limit_s, "limit", tip=text, label=text)
    return Chart(
        title=f"{word.title} by stage",
        caption="p50 and p95 (dashed) of each stage, where there are enough samples.",
        drawing=plot.render(time_ticks(stages[-1]["end_s"]), _durations(scale)),
    )


def against_load(results: Mapping[str, Any], metric: str) -> Chart | None:
    """One point per stage, at the most load it had; None when there are not two different loads."""
    stages = sorted(results["stages"], key=_load)
    points, limits = _percentiles(stages, metric), limits_on(results, metric)
    scale = _scale(points, limits)
    loads = [_load(stage) for stage in stages]
    if scale is None or len(set(loads)) < 2:
        return None
    is_rate = stages[0]["users"] is None
    word = glossary.metric(metric)
    ticks = linear_ticks(max(loads), lambda value: f"{value:g}/s" if is_rate else f"{value:g}")
    plot = Plot(title=f"{word.title} against load", x=Scale(low=0, high=ticks[-1].at), y=scale)
    unit = "arrivals per second" if is_rate else "users"
    for index, (_, css) in enumerate(_LINES):
        line = [(load, values[index]) for load, values in zip(loads, points, strict=True)]
        plot.line(line, css, tip=lambda x, y, css=css: f"{x:g} {unit}: {css} {formatting.duration(y)}")  # type: ignore[misc]
    for limit_s, text in limits:
        plot.level(0, ticks[-1].at, limit_s, "limit", tip=text, label=text)
    return Chart(
        title=f"{word.title} against load",
        caption=f"p50 and p95 (dashed) of each stage at its highest load ({unit}).",
        drawing=plot.render(ticks, _durations(scale)),
    )


def _load(stage: Mapping[str, Any]) -> float:
    return float(stage["rate_per_s"] if stage["users"] is None else stage["users"])


def _percentiles(stages: Sequence[Mapping[str, Any]], metric: str) -> list[tuple[float | None, ...]]:
    """(p50, p95) of each stage; None where withheld."""
    return [
        tuple(
            formatting.seconds(stage["metrics"].get(metric, {}).get(f"p{percent}")) for percent, _ in _LINES
        )
        for stage in stages
    ]


def _scale(points: Sequence[tuple[float | None, ...]], limits: Sequence[tuple[float, str]]) -> Scale | None:
    values = [value for pair in points for value in pair if value is not None and 0 < value < math.inf]
    if not values:
        return None
    values += [limit_s for limit_s, _ in limits]
    low, high = min(values) / 1.3, max(values) * 1.3
    spare = math.sqrt(max(1.0, _MIN_FACTOR / (high / low)))
    return Scale(low=low / spare, high=high * spare, log=True)


def _durations(scale: Scale) -> list[Tick]:
    return log_ticks(scale.low, scale.high, tick_label)
