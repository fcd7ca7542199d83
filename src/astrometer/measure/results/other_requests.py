"""Requests that a locustfile makes itself -> a list of their own in the results. Pure.

They are never counted among the exchanges. Times are those that the locustfile told Locust.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from astrometer.measure.tally.exchange_stats import summary_json
from astrometer.measure.tally.histogram import Histogram

MAX_ROWS = 100  # names of a locustfile may hold ids
MAX_REASONS = 10
REST, REST_OF_REASONS = "(other names)", "(other reasons)"


@dataclass(slots=True)
class OtherRequest:
    """One row: the requests of one type and name that began in the window.

    `failures`: how many failed, by the name of the exception; its text may hold anything.
    """

    n: int = 0
    bytes: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    times: Histogram = field(default_factory=Histogram)  # of all of them that had one

    def add(self, n: int, length: int, failures: Mapping[str, int]) -> None:
        self.n += n
        self.bytes += length
        for reason, count in failures.items():
            is_known = reason in self.failures or len(self.failures) < MAX_REASONS
            self.failures[reason if is_known else REST_OF_REASONS] += count


class OtherRequests:
    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], OtherRequest] = {}

    def add(
        self, request_type: str, name: str, duration_s: float | None, *, length: int, failure: str | None
    ) -> None:
        """`length`: of the answer. `failure`: the name of what went wrong."""
        row = self._row(request_type, name)
        row.add(1, length, {} if failure is None else {failure: 1})
        if duration_s is not None:
            row.times.record(duration_s)

    def take(self) -> list[list[Any]]:
        """What was collected since the last call, as plain data."""
        taken = [
            [*key, row.n, row.bytes, dict(row.failures), row.times.to_wire()]
            for key, row in self.rows.items()
        ]
        self.rows = {}
        return taken

    def merge(self, wire: Iterable[Any]) -> None:
        for request_type, name, n, length, failures, times in wire:
            row = self._row(request_type, name)
            row.add(n, length, failures)
            row.times.add_wire(times)

    def _row(self, request_type: str, name: str) -> OtherRequest:
        key = (request_type, name)
        if key not in self.rows and len(self.rows) >= MAX_ROWS:
            key = ("", REST)
        return self.rows.setdefault(key, OtherRequest())


def other_requests_json(
    rows: Mapping[tuple[str, str], OtherRequest], window_s: float
) -> list[dict[str, Any]]:
    return [
        {
            "type": request_type,
            "name": name,
            "n": row.n,
            "per_s": row.n / window_s if window_s else None,
            "failed": row.failures.total(),
            "failures": dict(row.failures.most_common()),
            "bytes": row.bytes,
            "response_time": summary_json(row.times),
        }
        for (request_type, name), row in sorted(rows.items(), key=lambda item: (item[0][1], item[0][0]))
    ]
