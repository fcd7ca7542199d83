"""A results file -> a line for each request that the locustfile made itself. For all reports."""

from collections.abc import Mapping
from typing import Any

from astrometer.report import formatting

TITLE = "Requests of the locustfile's own"
NOTE = "Counted nowhere else and not judged; times are those that the locustfile told Locust"


def lines(results: Mapping[str, Any]) -> list[str]:
    """Empty when it made none."""
    return [_line(row) for row in results["other_requests"]]


def _line(row: Mapping[str, Any]) -> str:
    times = row["response_time"]
    shown = [
        f"{name} {formatting.duration(times[name])}"
        for name in ("p50", "p95", "p99", "max")
        if times[name] is not None
    ]
    name = formatting.plain(f"{row['type']} {row['name']}".strip())
    n, failed = formatting.count(row["n"]), formatting.count(row["failed"])
    pace = f" ({formatting.rate(row['per_s'])})" if row["per_s"] else ""
    why = ", ".join(f"{formatting.plain(name)} {formatting.count(n)}" for name, n in row["failures"].items())
    counted = f"{n} in all{pace}, {failed} failed{f' ({why})' if why else ''}"
    size = [f"{formatting.size(row['bytes'])} received"] if row["bytes"] else []
    return f"{name}: {', '.join([counted, *shown, *size])}"
