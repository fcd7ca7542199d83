"""The values of a row -> its line of JSON, in a fraction of the time that a dict and `json` take. Pure.

Exchanges of which the same is known share their templates, most of a run: only values are put into them.
Which times are uncertain differs from one exchange to the next, so bounds are added one by one.
"""

import json
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from json.encoder import encode_basestring
from operator import itemgetter
from types import NoneType
from typing import Any, NamedTuple

from astrometer.api.metric_table import METRICS
from astrometer.measure.records.exchange_row import COLUMNS, COMMON, EFFECTIVE, KIND
from astrometer.measure.tally.exchange_stats import ExchangeSamples

MOST_TEMPLATES = 1000  # of a kind
_FORMATS = {float: "%.6f", int: "%d", str: "%s"}  # times to the microsecond
_DUE = COMMON.index("t_intended_s")


class _Facts(NamedTuple):
    """`said`: takes those of all values that the line says. `texts`: the places of texts among all."""

    start: str
    said: Callable[[list[Any]], tuple[Any, ...]]
    texts: tuple[int, ...]


class _Times(NamedTuple):
    line: str
    metrics: tuple[str, ...]  # that it says


class RowText:
    """Of one process. `always`: what every row says of the run."""

    def __init__(self, always: Mapping[str, Any]) -> None:
        self._facts = lru_cache(MOST_TEMPLATES)(partial(_facts, always))

    def line(
        self, kind: tuple[Any, ...], names: tuple[str, ...], values: list[Any], samples: ExchangeSamples
    ) -> str:
        """Without a newline. `kind`: the values of `KIND`. None is left out; numbers are finite."""
        start, said, texts = self._facts(kind, names, tuple(map(type, values)))
        metrics, bounds = samples
        scheduled = values[_DUE] is not None
        times, known = _times(scheduled, tuple(metrics))
        for place in texts:
            values[place] = encode_basestring(values[place])
        line = start % said(values) + times % tuple([metrics[name][0] for name in known])
        if bounds:
            formats = _BOUNDS[scheduled]
            for name, uncertain in bounds.items():
                if name in formats:
                    (told, low, high), (lower, higher) = uncertain[0], formats[name]
                    if low != told:
                        line += lower % low
                    if high != told:
                        line += higher % high
        return line + "}"


def _facts(
    always: Mapping[str, Any], kind: tuple[Any, ...], names: tuple[str, ...], types: tuple[type, ...]
) -> _Facts:
    facts = {name: value for name, value in zip(KIND, kind, strict=True) if value is not None}
    head = json.dumps({**always, **facts}, ensure_ascii=False, separators=(",", ":"))
    said = [place for place, of in enumerate(types) if of is not NoneType]
    fields = [f'"{names[place]}":{_FORMATS[types[place]]}' for place in said]
    return _Facts(
        start=f"{head[:-1].replace('%', '%%')},{','.join(fields)}",
        said=itemgetter(*said),
        texts=tuple(place for place in said if types[place] is str),
    )


@lru_cache(MOST_TEMPLATES)
def _times(scheduled: bool, metrics: tuple[str, ...]) -> _Times:
    known = tuple(name for name in metrics if _is_said(f"{name}_s", scheduled=scheduled))
    return _Times("".join(_time(f"{name}_s") for name in known), known)


def _is_said(name: str, *, scheduled: bool) -> bool:
    """Without a schedule, the intended time is that of the send."""
    return name in COLUMNS and (scheduled or name not in EFFECTIVE)


def _time(name: str) -> str:
    return f',"{name}":{_FORMATS[float]}'


# By whether it was scheduled, then by metric: the formats of how short and of how long it may have been.
_BOUNDS = {
    scheduled: {
        name: (_time(f"{name}_low_s"), _time(f"{name}_high_s"))
        for name in METRICS
        if _is_said(f"{name}_low_s", scheduled=scheduled)
    }
    for scheduled in (False, True)
}
