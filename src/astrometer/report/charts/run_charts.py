"""A results file -> the charts of the HTML report. Which shapes stand for what; drawing is `svg`'s."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from astrometer.api.outcome import Outcome
from astrometer.measure.tally.histogram import Histogram
from astrometer.report import formatting, glossary
from astrometer.report.charts.columns import Column
from astrometer.report.charts.svg import Plot, Scale, Tick, linear_ticks, log_ticks
from astrometer.units import format_duration

_BINS_PER_DECADE = 20  # each 12 % wide; narrower where all samples are within few decades
_MIN_BINS = 36
_MIN_FACTOR = 4  # from one edge of a scale to the other
_SHORTEST_S = 1e-4  # shorter ones stand in the first bin
_MARKED = (50, 95, 99)
_FAILURE_COLOURS = 6
_LIMIT_NOTE = " Red line: the objective."


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    title: str
    caption: str
    drawing: Markup
    legend: tuple[tuple[str, str], ...] = ()  # (class of its colour, words)


def traffic(columns: Sequence[Column]) -> Chart | None:
    """Exchanges per second by when they began: ok below, failed on top."""
    if not columns:
        return None
    highest = max(max(c.started, c.outcomes.total()) / c.width_s for c in columns)
    ticks = linear_ticks(highest, lambda value: f"{value:g}")
    plot = Plot(
        title="Exchanges started per second over time, ok and failed",
        x=_time_scale(columns),
        y=Scale(low=0, high=ticks[-1].at),
    )
    for column in columns:
        width_s = column.width_s
        ok, failed, all_ = column.ok / width_s, column.failed / width_s, column.started / width_s
        tip = f"{_when(column)}: started {column.started}, ok {column.ok}, failed {column.failed}"
        gap = width_s * 0.04
        left, right = column.t0_s + gap, column.t1_s - gap
        plot.rect(left, right, 0, ok, "ok", tip=tip)
        plot.rect(left, right, ok, ok + failed, "bad", tip=f"{tip} ({_names(column)})")
        plot.rect(left, right, ok + failed, all_, "lost", tip=tip)
    failures = sum(column.failed for column in columns)
    return Chart(
        title="Started and failed over time",
        caption=f"Exchanges per second by start time. {formatting.count(failures)} failed.",
        drawing=plot.render(_time_ticks(columns), ticks),
    )


def failures(columns: Sequence[Column]) -> Chart | None:
    """What failed, by outcome, on a scale of its own: beside the ok ones a few would not be seen."""
    counts: Counter[str] = Counter()
    for column in columns:
        counts.update({name: n for name, n in column.outcomes.items() if name != Outcome.OK.value})
    if not counts.total():
        return None
    named = [name for name, _ in counts.most_common(_FAILURE_COLOURS)]
    if len(counts) > _FAILURE_COLOURS:
        named = named[:-1]
    ticks = linear_ticks(max(column.failed / column.width_s for column in columns), lambda v: f"{v:g}")
    plot = Plot(
        title="Failed exchanges per second over time, by outcome",
        x=_time_scale(columns),
        y=Scale(low=0, high=ticks[-1].at),
        height_px=150,
    )
    for column in columns:
        gap, below = column.width_s * 0.04, 0.0
        shares = [
            (f"f{index}", formatting.plain(name), column.outcomes[name]) for index, name in enumerate(named)
        ]
        rest = column.failed - sum(n for _, _, n in shares)
        for css, name, n in [*shares, (f"f{len(named)}", "other", rest)]:
            above = below + n / column.width_s
            tip = f"{_when(column)}: {name} {n}"
            plot.rect(column.t0_s + gap, column.t1_s - gap, below, above, css, tip=tip)
            below = above
    rest = counts.total() - sum(counts[name] for name in named)
    legend = [
        (f"f{i}", f"{formatting.plain(name)} {formatting.count(counts[name])}")
        for i, name in enumerate(named)
    ]
    if rest:
        legend.append((f"f{len(named)}", f"other {formatting.count(rest)}"))
    return Chart(
        title="Failures over time, by outcome",
        caption="Failed exchanges per second by start time.",
        drawing=plot.render(_time_ticks(columns), ticks),
        legend=tuple(legend),
    )


def over_time(
    columns: Sequence[Column], metric: str, limits: Sequence[tuple[float, str]] = ()
) -> Chart | None:
    """Every sample as shade: time across, duration (log) upwards; percentiles where n allows them.

    `limits`: of objectives, as `objective_limits` gives them.
    """
    histograms = [(column, column.histogram(metric)) for column in columns]
    whole = Histogram()
    for _, histogram in histograms:
        whole.merge(histogram)
    if not whole.n:
        return None
    scale = _duration_scale(whole, limits)
    edges = _edges(scale)
    word = glossary.metric(metric)
    plot = Plot(title=f"{word.title} over time", x=_time_scale(columns), y=scale, height_px=220)
    binned = [(column, _binned(histogram, scale, edges)) for column, histogram in histograms]
    densest = max(n / column.width_s for column, bins in binned for n in bins.values())
    for column, bins in binned:
        for index, n in sorted(bins.items()):
            low, high = edges[index], edges[index + 1]
            shade = 0.12 + 0.88 * math.sqrt(n / column.width_s / densest)
            tip = f"{_when(column)}: {n} from {format_duration(low)} to {format_duration(high)}"
            plot.rect(column.t0_s, column.t1_s, low, high, "heat", tip=tip, opacity=shade)
    for percent in (50, 95):
        points = [_middle(c, h.quantile_or_none(percent)) for c, h in histograms]
        plot.line(points, f"p{percent}", tip=_point_tip(f"p{percent}"))
    for limit_s, text in limits:
        plot.level(plot.x.low, plot.x.high, limit_s, "limit", tip=text, label=text)
    return Chart(
        title=f"{word.title} over time",
        caption="Stronger color: more samples. Lines: p50 and p95 (dashed), where there are enough samples."
        f"{_LIMIT_NOTE if limits else ''}",
        drawing=plot.render(_time_ticks(columns), log_ticks(scale.low, scale.high, tick_label)),
    )


def distribution(
    results: Mapping[str, Any], metric: str, limits: Sequence[tuple[float, str]] = ()
) -> Chart | None:
    """How often which duration, ok turns of a run or a scenario, with the percentiles that may be said."""
    summary = results["metrics"].get(metric)
    if summary is None or not summary["n"]:
        return None
    histogram = Histogram.decode(summary["histogram"])
    scale = _duration_scale(histogram, limits)
    edges = _edges(scale)
    bins = _binned(histogram, scale, edges)
    word = glossary.metric(metric)
    ticks = linear_ticks(max(bins.values()) / histogram.n * 100, lambda value: f"{value:g} %", count=3)
    plot = Plot(
        title=f"Distribution of {word.title}",
        x=scale,
        y=Scale(low=0, high=ticks[-1].at),
        height_px=220,
        head_px=52,
    )
    for index, n in sorted(bins.items()):
        low, high = edges[index], edges[index + 1]
        tip = f"{format_duration(low)} to {format_duration(high)}: {formatting.count(n)}"
        plot.rect(low, high, 0, n / histogram.n * 100, "bar", tip=tip)
    for limit_s, text in limits:
        plot.upright(limit_s, tip=text)
    values = [(percent, formatting.seconds(summary[f"p{percent}"])) for percent in _MARKED]
    plot.markers([(v, f"p{percent} {format_duration(v)}") for percent, v in values if v is not None])
    missing = results["metrics_all_attempts"].get(metric, summary)["n"] - summary["n"]
    stands = f" Red line: {', '.join(text for _, text in limits)}." if limits else ""
    failed = f" Not shown: {formatting.plural(missing, 'failed attempt')}." if missing else ""
    return Chart(
        title=f"Distribution of {word.title}",
        caption=f"{word.meaning.capitalize()}. n = {formatting.count(summary['n'])}.{stands}{failed}",
        drawing=plot.render(log_ticks(scale.low, scale.high, tick_label), ticks),
    )


def _duration_scale(histogram: Histogram, limits: Sequence[tuple[float, str]] = ()) -> Scale:
    """Log, a little wider than samples and limits, and never so narrow that noise looks like news."""
    buckets = histogram.buckets()
    low = max(min([buckets[0][0], *(limit_s for limit_s, _ in limits)]), _SHORTEST_S) / 1.15
    high = max([buckets[-1][1], _SHORTEST_S, *(limit_s for limit_s, _ in limits)]) * 1.15
    spare = _MIN_FACTOR / (high / low)
    if spare > 1:
        low, high = low / math.sqrt(spare), high * math.sqrt(spare)
    return Scale(low=low, high=high, log=True)


def _edges(scale: Scale) -> list[float]:
    number = max(_MIN_BINS, round(math.log10(scale.high / scale.low) * _BINS_PER_DECADE))
    factor = (scale.high / scale.low) ** (1 / number)
    return [scale.low * factor**index for index in range(number + 1)]


def _binned(histogram: Histogram, scale: Scale, edges: Sequence[float]) -> Counter[int]:
    bins: Counter[int] = Counter()
    last = len(edges) - 2
    for low, high, n in histogram.buckets():
        bins[min(last, int(scale((low + high) / 2) * (last + 1)))] += n
    return bins


def _time_scale(columns: Sequence[Column]) -> Scale:
    return Scale(low=columns[0].t0_s, high=columns[-1].t1_s)


def _time_ticks(columns: Sequence[Column]) -> list[Tick]:
    return time_ticks(columns[-1].t1_s)


def time_ticks(high: float) -> list[Tick]:
    """From 0 to `high` seconds, in the unit that suits them."""
    unit_s, letter = (3600, "h") if high >= 7200 else (60, "min") if high >= 180 else (1, "s")
    ticks = linear_ticks(high / unit_s, lambda value: f"{value:g} {letter}", count=5)
    return [Tick(at=tick.at * unit_s, label=tick.label) for tick in ticks if tick.at * unit_s <= high * 1.001]


def tick_label(seconds: float) -> str:
    """A round duration on an axis."""
    if seconds < 0.000999:
        return f"{seconds * 1e6:g} µs"
    return f"{seconds * 1e3:g} ms" if seconds < 0.999 else f"{seconds:g} s"


def _middle(column: Column, value: float | None) -> tuple[float, float | None]:
    return (column.t0_s + column.t1_s) / 2, value


def _point_tip(name: str) -> Callable[[float, float], str]:
    return lambda t_s, value: f"{t_s:.0f} s: {name} {format_duration(value)}"


def _when(column: Column) -> str:
    return f"{column.t0_s:.0f}–{column.t1_s:.0f} s"


def _names(column: Column) -> str:
    return ", ".join(
        f"{formatting.plain(name)} {n}" for name, n in column.outcomes.most_common() if name != "ok"
    )
