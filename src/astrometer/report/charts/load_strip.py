"""How much load there was over time -> a low strip below every chart over time, on the same scale."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from astrometer.load.schedule.profile import Profile
from astrometer.report.charts.columns import Column
from astrometer.report.charts.svg import Plot, Scale, Tick
from astrometer.report.view.capacity_view import found, number

Span = tuple[float, float, float]  # from, to (seconds since the start), and the load


def strip(results: Mapping[str, Any], columns: Sequence[Column]) -> Markup:
    """Empty where nobody knows the load."""
    spans, unit = _spans(results, columns)
    highest = max((load for _, _, load in spans), default=0.0)
    if highest <= 0:
        return Markup()
    plot = Plot(
        title="Load over time",
        x=Scale(low=columns[0].t0_s, high=columns[-1].t1_s),
        y=Scale(low=0, high=highest),
        height_px=62,
        head_px=4,
    )
    for start_s, end_s, load in spans:
        plot.rect(
            start_s, end_s, 0, load, "load", tip=f"{start_s:.0f}\u2013{end_s:.0f} s: {number(load)}{unit}"
        )
    plot.level(plot.x.low, plot.x.high, 0, "base", label="users" if unit == " users" else "arrivals/s")
    return plot.render([], [Tick(at=highest, label=number(highest))])


def _spans(results: Mapping[str, Any], columns: Sequence[Column]) -> tuple[list[Span], str]:
    """A search had its steps; a shape is followed; else the load was the same all the time."""
    if not columns:
        return [], ""
    searched, profile, arrivals = found(results), results["profile"], results["arrivals"]
    if searched is not None:
        steps = [(step["start_s"], step["end_s"], float(step["load"])) for step in searched["steps"]]
        return steps, "/s" if searched["unit"] == "per_s" else " users"
    if profile:
        shape = Profile.parse(str(profile))
        spans = [
            (c.t0_s, c.t1_s, (shape.area(c.t1_s) - shape.area(max(0.0, c.t0_s))) / c.width_s) for c in columns
        ]
        return spans, "/s" if shape.is_rate else " users"
    load = arrivals["rate_per_s"] if arrivals else results["users"] or 0
    return [(columns[0].t0_s, columns[-1].t1_s, float(load))], "/s" if arrivals else " users"
