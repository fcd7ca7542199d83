"""`capacity` of a results file -> latency and goodput against load, drawn."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from astrometer.measure.tally.histogram import Histogram
from astrometer.report import formatting, glossary
from astrometer.report.charts.run_charts import Chart, tick_label
from astrometer.report.charts.svg import Plot, Scale, Tick, linear_ticks, log_ticks
from astrometer.report.view.capacity_view import LATENCIES, PERCENTS, found, load_text

_MIN_FACTOR = 4  # from one edge of a scale to the other, so that noise does not look like news


def charts(results: Mapping[str, Any]) -> list[Chart]:
    searched = found(results)
    if searched is None:
        return []
    trusted = [step for step in searched["steps"] if step["verdict"] != "INVALID"]
    loads = sorted({step["load"] for step in trusted})
    if len(loads) < 2:
        return []
    by_load = {load: [step for step in trusted if step["load"] == load] for load in loads}
    latency = [_latency(searched, by_load, metric) for metric in LATENCIES]
    return [_rates(searched, by_load), *(chart for chart in latency if chart is not None)]


def _load_scale(loads: Sequence[float]) -> Scale:
    low, high = loads[0] / 1.1, loads[-1] * 1.1
    spare = math.sqrt(max(1.0, 2 / (high / low)))
    return Scale(low=low / spare, high=high * spare, log=True)


def _load_ticks(searched: Mapping[str, Any], scale: Scale) -> list[Tick]:
    unit = "/s" if searched["unit"] == "per_s" else ""
    return log_ticks(scale.low, scale.high, lambda value: f"{value:g}{unit}")


def _edges(searched: Mapping[str, Any], plot: Plot) -> None:
    marks = [
        (searched[key], f"{load_text(searched, searched[key])} {word}")
        for key, word in (("highest_passing", "passed"), ("lowest_failing", "failed"))
        if searched[key] is not None
    ]
    plot.markers(marks)


def _interval(searched: Mapping[str, Any], plot: Plot, scale: Scale) -> str:
    """The loads that may be the capacity, as a band behind everything else -> what the caption says of it."""
    low, high = searched["interval"]["low"], searched["interval"]["high"]
    if low is None and high is None:
        return ""
    left, right = (end if end is not None else edge for end, edge in ((low, scale.low), (high, scale.high)))
    tip = f"{searched['interval']['confidence'] * 100:.0f} % interval of the capacity"
    plot.rect(left, right, plot.y.low, plot.y.high, "likely", tip=tip)
    return f" Shaded: the {tip}."


def _limits(searched: Mapping[str, Any], metric: str) -> list[tuple[float, str]]:
    """The objectives' limits on this metric, as they were written."""
    items = searched["steps"][0]["objectives"]
    return [
        (item["limit"], formatting.plain(item["text"]))
        for item in items
        if re.match(rf"([\w.-]+:\s*)?{metric}_(p\d+|max)\b", item["text"])
    ]


def _tips(
    searched: Mapping[str, Any], name: str, written: Callable[[float], str]
) -> Callable[[float, float], str]:
    return lambda load, value: f"{load_text(searched, load)}: {name} {written(value)}"


def _rates(searched: Mapping[str, Any], by_load: Mapping[float, Sequence[Mapping[str, Any]]]) -> Chart:
    loads = list(by_load)

    def per_s(count: Any) -> list[tuple[float, float | None]]:
        return [
            (load, sum(count(s) for s in steps) / sum(s["end_s"] - s["start_s"] for s in steps))
            for load, steps in by_load.items()
        ]

    answers = per_s(lambda step: step["completed_per_s"] * (step["end_s"] - step["start_s"]))
    good = per_s(lambda step: step["goodput"]["good"])
    ticks = linear_ticks(max(value or 0.0 for _, value in [*answers, *good]), lambda value: f"{value:g}/s")
    scale = _load_scale(loads)
    plot = Plot(
        title="Answers and goodput against load",
        x=scale,
        y=Scale(low=0, high=ticks[-1].at),
        height_px=220,
        head_px=38,
    )
    shaded = _interval(searched, plot, scale)
    for line, css, name in ((answers, "p95", "answers"), (good, "p50", "goodput")):
        plot.line(line, css, tip=_tips(searched, name, formatting.rate))
    _edges(searched, plot)
    return Chart(
        title="Goodput against load",
        caption=f"Goodput and all successful answers (dashed) per second.{shaded}",
        drawing=plot.render(_load_ticks(searched, scale), ticks),
    )


def _latency(
    searched: Mapping[str, Any], by_load: Mapping[float, Sequence[Mapping[str, Any]]], metric: str
) -> Chart | None:
    points: dict[int, list[tuple[float, float | None]]] = {percent: [] for percent, _ in PERCENTS}
    for load, steps in by_load.items():
        histogram = Histogram()
        for step in steps:
            if metric in step["metrics"]:
                histogram.merge(Histogram.decode(step["metrics"][metric]["histogram"]))
        for percent, line in points.items():
            line.append((load, histogram.quantile_or_none(percent)))
    limits = _limits(searched, metric)
    known = [value for line in points.values() for _, value in line if value]
    if not known:
        return None
    known += [limit for limit, _ in limits]
    low, high = min(known) / 1.3, max(known) * 1.3
    spare = math.sqrt(max(1.0, _MIN_FACTOR / (high / low)))
    y = Scale(low=low / spare, high=high * spare, log=True)
    scale = _load_scale(list(by_load))
    word = glossary.metric(metric)
    plot = Plot(title=f"{word.title} against load", x=scale, y=y, height_px=220, head_px=38)
    shaded = _interval(searched, plot, scale)
    for percent, css in PERCENTS:
        plot.line(points[percent], css, tip=_tips(searched, css, formatting.duration))
    for limit, text in limits:
        plot.level(scale.low, scale.high, limit, "limit", label=text)
    _edges(searched, plot)
    return Chart(
        title=f"{word.title} against load",
        caption="p50 and p95 (dashed) of successful exchanges at each load, where there are enough samples."
        f"{shaded}{' Horizontal line: the objective.' if limits else ''}",
        drawing=plot.render(_load_ticks(searched, scale), log_ticks(y.low, y.high, tick_label)),
    )
