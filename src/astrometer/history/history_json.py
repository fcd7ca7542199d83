"""A history -> `history.json`: the same as the page, for programs. Durations in seconds, shares of one."""

from typing import Any

from astrometer.compare.output.compare_json import finite, row_json, run_json
from astrometer.history.point_values import PointValue
from astrometer.history.run_groups import Point
from astrometer.history.run_history import CHANCE, GroupHistory, LevelChange, MetricSeries, RunHistory

FILE_NAME = "history.json"
SCHEMA_VERSION = 1


def to_json(history: RunHistory) -> dict[str, Any]:
    """Infinity is the text "inf". What is not known is null."""
    return {
        "schema_version": SCHEMA_VERSION,
        "order": history.order.value,
        "margin": history.margin,
        "share_margin": history.share_margin,
        "change_points": {"searched": not history.missing, "missing": history.missing, "chance": CHANCE},
        "groups": [_group(group) for group in history.groups],
        "left_out": [{"name": item.name, "reason": item.reason} for item in history.left_out],
    }


def _group(history: GroupHistory) -> dict[str, Any]:
    return {
        "apart": history.group.apart,
        "points": [_point(point) for point in history.group.points],
        "series": [_series(series) for series in history.series],
    }


def _point(point: Point) -> dict[str, Any]:
    return {
        "version": point.version,
        "start": point.start,
        "runs": [run_json(run) for run in point.runs],
    }


def _series(series: MetricSeries) -> dict[str, Any]:
    return {
        "name": series.name,
        "unit": series.unit.value,
        "values": [_value(value) for value in series.values],
        "changes": [_change(change) for change in series.changes],
        "not_searched": series.not_searched,
    }


def _value(value: PointValue | None) -> dict[str, Any] | None:
    if value is None:
        return None
    return {
        "value": finite(value.value),
        "interval": [finite(end) for end in value.interval],
        "n": value.n,
    }


def _change(change: LevelChange) -> dict[str, Any]:
    return {
        "point": change.at,
        "before": change.before.name,
        "after": change.after.name,
        "differs": list(change.differs),
        **row_json(change.row),
    }
