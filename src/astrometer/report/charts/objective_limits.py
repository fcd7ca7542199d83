"""The objectives of a results file -> the limits to draw on a metric's chart."""

from collections.abc import Mapping
from typing import Any

from astrometer.report import formatting


def limits_on(results: Mapping[str, Any], metric: str, scenario: str = "") -> list[tuple[float, str]]:
    """(seconds, the objective as it was written) of all that limit this metric.

    `scenario`: without those of another one.
    """
    return [
        (float(item["limit"]), formatting.plain(item["text"]))
        for item in results["objectives"]
        if item["metric"] == metric and item["unit"] == "s" and item["limit"] > 0
        if not scenario or item["scenario"] in (None, scenario)
    ]
