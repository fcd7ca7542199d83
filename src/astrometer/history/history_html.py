"""A history -> `history.html`: one file that needs nothing else, no script, no network."""

from pathlib import Path

from astrometer import __version__
from astrometer.compare import change_text
from astrometer.history import history_charts, history_view
from astrometer.history.run_groups import Order
from astrometer.history.run_history import GroupHistory, MetricSeries, RunHistory
from astrometer.report.html import environment, style

FILE_NAME = "history.html"
_MOST_COLUMNS = 8
_COMPARE = Path(__file__).parents[1] / "compare" / "output" / "templates" / "compare.css"


def render_html(history: RunHistory) -> str:
    return (
        environment("astrometer.history")
        .get_template("history.html.j2")
        .render(
            style=style(_COMPARE, Path(__file__).parent / "templates" / "history.css"),
            astrometer_version=__version__,
            history=history,
            sentence=history_view.sentence(history),
            method=history_view.method(history),
            notes=history_view.notes(history),
            groups=[_group(group, history.order) for group in history.groups],
            place="version" if history.order is Order.VERSION else "run (UTC)",
        )
    )


def _group(group: GroupHistory, order: Order) -> dict[str, object]:
    columns = history_view.headlines(group, _MOST_COLUMNS)
    return {
        "subject": history_view.subject(group),
        "apart": group.group.apart,
        "changes": history_view.change_lines(group),
        "charts": history_charts.charts(group, order),
        "titles": [history_view.SHORT.get(item.name, history_view.title(item)) for item in columns],
        "rows": [
            {
                "place": history_view.place(point, order),
                "about": history_view.about(point, order),
                "cells": [
                    (
                        history_view.SHORT.get(item.name, history_view.title(item)),
                        change_text.value_text(
                            None if (value := item.values[at]) is None else value.value, item.unit
                        ),
                        _interval(item, at),
                        next((c.row.verdict.value for c in item.changes if c.at == at), ""),
                    )
                    for item in columns
                ],
            }
            for at, point in enumerate(group.group.points)
        ],
    }


def _interval(item: MetricSeries, at: int) -> str:
    value = item.values[at]
    if value is None:
        return ""
    return " … ".join(change_text.value_text(end, item.unit) for end in value.interval)
