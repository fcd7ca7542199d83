"""The samples of the server's process -> charts below those of the load, on the same time scale."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from astrometer.report import formatting
from astrometer.report.charts.columns import Column
from astrometer.report.charts.run_charts import Chart, time_ticks
from astrometer.report.charts.svg import Plot, Scale, Tick, linear_ticks

MAX_POINTS = 180
_LEAST_SPAN = 0.1  # of the value: less would make noise look like news
_STEPS = (1, 2, 5, 10)


def charts(results: Mapping[str, Any], columns: Sequence[Column]) -> list[Chart]:
    """None of a process that nobody knew."""
    if results["server"] is None:
        return []
    series = results["server"]["series"]
    if columns:  # without the drain, which the load's charts do not show either
        kept = sum(t_s <= columns[-1].t1_s for t_s in series["t_s"])
        series = {name: values[:kept] for name, values in series.items()}
    if len(series["t_s"]) < 2:
        return []
    low, high = (columns[0].t0_s, columns[-1].t1_s) if columns else (series["t_s"][0], series["t_s"][-1])
    across = Scale(low=min(low, series["t_s"][0]), high=high)
    made = (_memory(series, across), _cpu(series, across), _storage(series, across))
    return [chart for chart in made if chart is not None]


def _memory(series: Mapping[str, Any], across: Scale) -> Chart:
    """Not from zero: what grows would not be seen."""
    points = _points(series, "rss_bytes")
    ticks = _ticks_around([value for _, value in points if value is not None])
    plot = Plot(title="Memory (RSS) of the server over time", x=across, y=_scale(ticks), height_px=150)
    plot.line(points, "p50", dots=False, tip=_tips("RSS", lambda value: formatting.size(round(value))))
    return Chart(
        title="Memory of the server over time",
        caption="RSS of its process and children. The axis does not begin at zero.",
        drawing=plot.render(time_ticks(across.high), ticks),
    )


def _cpu(series: Mapping[str, Any], across: Scale) -> Chart:
    times, used = _thinned(series["t_s"]), _thinned(series["cpu_s"])
    shares = [
        ((t0 + t1) / 2, max(0.0, c1 - c0) / (t1 - t0) * 100)
        for (t0, c0), (t1, c1) in pairwise(zip(times, used, strict=True))
        if t1 > t0
    ]
    ticks = linear_ticks(max((share for _, share in shares), default=0.0), lambda value: f"{value:g} %")
    plot = Plot(title="CPU of the server over time", x=across, y=_scale(ticks), height_px=150)
    plot.line([*shares], "p50", dots=False, tip=_tips("CPU", lambda value: f"{value:.0f} %"))
    return Chart(
        title="CPU of the server over time",
        caption="Of its process and children; 100 % is one core.",
        drawing=plot.render(time_ticks(across.high), ticks),
    )


def _storage(series: Mapping[str, Any], across: Scale) -> Chart | None:
    database, wal = _points(series, "database_bytes"), _points(series, "wal_bytes")
    known = [value for _, value in (*database, *wal) if value is not None]
    if not known:
        return None
    ticks = linear_ticks(max(known), _size)
    plot = Plot(title="Database of the server over time", x=across, y=_scale(ticks), height_px=150)
    for line, css, name in ((database, "p50", "database"), (wal, "p95", "write-ahead log")):
        plot.line(line, css, dots=False, tip=_tips(name, lambda value: formatting.size(round(value))))
    return Chart(
        title="Database of the server over time",
        caption="Size of the database file, and of its write-ahead log (dashed).",
        drawing=plot.render(time_ticks(across.high), ticks),
    )


def _tips(name: str, written: Callable[[float], str]) -> Callable[[float, float], str]:
    return lambda t_s, value: f"{t_s:.0f} s: {name} {written(value)}"


def _points(series: Mapping[str, Any], name: str) -> list[tuple[float, float | None]]:
    return list(zip(_thinned(series["t_s"]), _thinned(series[name]), strict=True))


def _thinned(values: Sequence[Any]) -> Sequence[Any]:
    return values[:: math.ceil(len(values) / MAX_POINTS)]


def _scale(ticks: Sequence[Tick]) -> Scale:
    return Scale(low=ticks[0].at, high=ticks[-1].at)


def _ticks_around(values: Sequence[float]) -> list[Tick]:
    """Round steps from below the lowest to above the highest."""
    low, high = min(values), max(values)
    spare = max(0.0, _LEAST_SPAN * high - (high - low)) / 2
    low, high = max(0.0, low - spare), high + spare
    rough = max(1.0, high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(nice * power for nice in _STEPS if nice * power >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [Tick(at=step * index, label=_size(step * index)) for index in range(first, last + 1)]


def _size(value: float) -> str:
    """A round size on an axis: "250 MB"."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{value / factor:g} {unit}"
    return formatting.size(round(value))
