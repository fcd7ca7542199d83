"""Requests that a locustfile makes itself -> a list of their own in the results. Pure.

They are never counted among the exchanges. Times are those that the locustfile told Locust.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from astrometer.measure.exchange_stats import summary_json
from astrometer.measure.histogram import Histogram

MAX_ROWS = 100  # names of a locustfile may hold ids
REST = "(other names)"


@dataclass(slots=True)
class OtherRequest:
    """One row: the requests of one type and name that began in the window."""

    n: int = 0
    failed: int = 0
    times: Histogram = field(default_factory=Histogram)  # of all of them that had one


class OtherRequests:
    """Of one process, or of several merged."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], OtherRequest] = {}

    def add(self, request_type: str, name: str, duration_s: float | None, *, failed: bool) -> None:
        row = self._row(request_type, name)
        row.n += 1
        row.failed += failed
        if duration_s is not None:
            row.times.record(duration_s)

    def take(self) -> list[list[Any]]:
        """What was collected since the last call, as plain data."""
        taken = [[*key, row.n, row.failed, row.times.to_wire()] for key, row in self.rows.items()]
        self.rows = {}
        return taken

    def merge(self, wire: Iterable[Any]) -> None:
        """Add what another process took."""
        for request_type, name, n, failed, times in wire:
            row = self._row(request_type, name)
            row.n += n
            row.failed += failed
            row.times.add_wire(times)

    def _row(self, request_type: str, name: str) -> OtherRequest:
        key = (request_type, name)
        if key not in self.rows and len(self.rows) >= MAX_ROWS:
            key = ("", REST)
        return self.rows.setdefault(key, OtherRequest())


def other_requests_json(rows: Mapping[tuple[str, str], OtherRequest]) -> list[dict[str, Any]]:
    """`other_requests` of `results.json`, by name."""
    return [
        {
            "type": request_type,
            "name": name,
            "n": row.n,
            "failed": row.failed,
            "response_time": summary_json(row.times),
        }
        for (request_type, name), row in sorted(rows.items(), key=lambda item: (item[0][1], item[0][0]))
    ]
