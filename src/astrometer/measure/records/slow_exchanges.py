"""A records file -> its slowest exchanges, and what they have in common. It is read twice, row by row.

Like is compared with like: exchanges of one operation, which were measured. The slow ones are the slowest
hundredth, and ten at least.
"""

import heapq
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count

from astrometer.api.metric_table import METRICS
from astrometer.measure.records.exchange_row import Row
from astrometer.measure.records.in_common import Common, Trait, in_common
from astrometer.measure.records.phases import parts_of
from astrometer.measure.records.traits import Crowd
from astrometer.suggestion import did_you_mean
from astrometer.user_error import UserError

SLOWEST = 10
SLOW_SHARE = 0.01
ENOUGH = 40  # with fewer, the slow ones are most of all
_WHOLE = ("e2e_s", "duration_s", "reply_last_s")
_TURNS = ("chat", "im_chat")  # asked for first
_NO_TIME = "without such a time"
_WARM_UP = "of ramp and warm-up"


class NothingSlow(ValueError):
    """There is nothing to show; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """`metric` None: how long the whole exchange took. Times in seconds."""

    operation: str
    metric: str | None
    n: int
    p50_s: float
    p99_s: float
    runs: tuple[str, ...]
    versions: tuple[str, ...]
    left_out: tuple[tuple[str, int], ...]
    slowest: tuple[tuple[float, Row], ...]
    slow_n: int
    slow_from_s: float
    common: tuple[Common, ...]
    traits: int  # that were looked at


@dataclass(slots=True)
class _Operation:
    crowd: Crowd = field(default_factory=Crowd)
    took_s: "array[float]" = field(default_factory=lambda: array("d"))
    runs: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)


def explain(
    rows: Callable[[], Iterable[Row]],
    *,
    metric: str | None = None,
    operation: str | None = None,
    slowest: int = SLOWEST,
) -> Explanation:
    """`rows` reads them from the beginning. Raises NothingSlow."""
    operations, left_out = _gathered(rows(), metric)
    name = operation or _usual(operations)
    if name not in operations:
        had = ", ".join(sorted(operations)) or "none"
        raise NothingSlow(
            f"no measured exchange {f'of {name!r} ' if name else ''}has such a time; operations: {had}"
        )
    chosen = operations[name]
    for other, found in operations.items():
        if other != name:
            left_out[f"of {other}"] += found.crowd.n
    chosen.crowd.complete()
    ordered = sorted(chosen.took_s)
    n = len(ordered)
    slow_from_s = ordered[max(0, n - max(SLOWEST, round(n * SLOW_SHARE)))]
    everywhere: Counter[Trait] = Counter()
    slow: Counter[Trait] = Counter()
    slow_n, number = 0, count()
    heap: list[tuple[float, int, Row]] = []
    for row, took_s in _compared(rows(), metric):
        if row["operation"] != name:
            continue
        traits = chosen.crowd.traits_of(row, parts_of(row))
        everywhere.update(traits)
        heapq.heappush(heap, (took_s, next(number), row))
        if len(heap) > slowest:
            heapq.heappop(heap)
        if took_s >= slow_from_s:
            slow_n += 1
            slow.update(traits)
    return Explanation(
        operation=name,
        metric=metric,
        n=n,
        p50_s=ordered[n // 2],
        p99_s=ordered[min(n - 1, n * 99 // 100)],
        runs=tuple(chosen.runs),
        versions=tuple(chosen.versions),
        left_out=tuple(left_out.most_common()),
        slowest=tuple((took_s, row) for took_s, _, row in sorted(heap, reverse=True)),
        slow_n=slow_n,
        slow_from_s=slow_from_s,
        common=tuple(in_common(slow, everywhere, slow_n, n)) if n >= ENOUGH else (),
        traits=len(everywhere),
    )


def took(row: Row, metric: str | None) -> float | None:
    """By `metric`; by None the whole exchange, a failed one until it was over. None: it has no such time."""
    if metric is not None:
        value: float | None = row.get(f"{metric}_s")
        return value
    if row["outcome"] != "ok" and "close_s" in row:
        return float(row["close_s"])
    return next((row[name] for name in _WHOLE if name in row), None)


def check_metric(name: str) -> None:
    """Raises UserError."""
    known = [metric for metric in METRICS if metric != "chunk_gap"]
    if name not in known:
        raise UserError(f"--by {name!r} is not a metric of an exchange{did_you_mean(name, known)}")


def _gathered(rows: Iterable[Row], metric: str | None) -> tuple[dict[str, _Operation], Counter[str]]:
    operations: dict[str, _Operation] = defaultdict(_Operation)
    left_out: Counter[str] = Counter()
    for row in rows:
        took_s = took(row, metric)
        if not row["measured"] or took_s is None:
            left_out[_NO_TIME if took_s is None else _WARM_UP] += 1
            continue
        operation = operations[row["operation"]]
        operation.crowd.add(row, took_s, parts_of(row))
        operation.took_s.append(took_s)
        operation.runs[row["run"]] += 1
        if "version" in row:
            operation.versions[row["version"]] += 1
    return dict(operations), left_out


def _compared(rows: Iterable[Row], metric: str | None) -> Iterator[tuple[Row, float]]:
    for row in rows:
        took_s = took(row, metric)
        if row["measured"] and took_s is not None:
            yield row, took_s


def _usual(operations: dict[str, _Operation]) -> str:
    """A turn, where there were some; else what there was most of."""
    turns = [name for name in _TURNS if name in operations]
    return max(turns or operations, key=lambda name: operations[name].crowd.n, default="")
