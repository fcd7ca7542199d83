"""The values of a row -> its line of JSON, in a fraction of the time that a dict and `json` take. Pure.

Exchanges of which the same is known share a template, most of a run: only values are put into it.
"""

import json
from collections.abc import Callable, Mapping
from json.encoder import encode_basestring
from operator import itemgetter
from types import NoneType
from typing import Any, NamedTuple

from astrometer.measure.records.exchange_row import COLUMNS, COMMON, EFFECTIVE, KIND
from astrometer.measure.tally.exchange_stats import ExchangeSamples

MOST_TEMPLATES = 1000
_FORMATS = {float: "%.6f", int: "%d", str: "%s"}  # times to the microsecond


class _Template(NamedTuple):
    """`said`: takes those of all values that the line says. `texts`: the places of texts among all."""

    line: str
    said: Callable[[list[Any]], tuple[Any, ...]]
    texts: tuple[int, ...]


class RowText:
    """Of one process. `always`: what every row says of the run."""

    def __init__(self, always: Mapping[str, Any]) -> None:
        self._always = always
        self._templates: dict[tuple[Any, ...], _Template] = {}

    def line(
        self, kind: tuple[Any, ...], names: tuple[str, ...], values: list[Any], samples: ExchangeSamples
    ) -> str:
        """Without a newline. `kind`: the values of `KIND`. None is left out; numbers are finite."""
        metrics, bounds = samples
        for uncertain in bounds.values():
            told, low, high = uncertain[0]
            values += (None if low == told else low, None if high == told else high)
        shape = kind, names, tuple(bounds), tuple(map(type, values)), tuple(metrics)
        template = self._templates.get(shape)
        if template is None:
            template = self._add(shape)
        line, said, texts = template
        for place in texts:
            values[place] = encode_basestring(values[place])
        values += [durations[0] for durations in metrics.values()]
        return line % said(values)

    def _add(self, shape: tuple[tuple[Any, ...], ...]) -> _Template:
        if len(self._templates) >= MOST_TEMPLATES:
            self._templates.clear()
        kind, names, bounds, types, metrics = shape
        names = (
            *names,
            *(f"{name}{end}_s" for name in bounds for end in ("_low", "_high")),
            *(f"{name}_s" for name in metrics),
        )
        types = (*types, *(float for _ in metrics))
        left_out = EFFECTIVE if types[COMMON.index("t_intended_s")] is NoneType else ()
        said = [
            place
            for place, (name, of) in enumerate(zip(names, types, strict=True))
            if of is not NoneType and name in COLUMNS and name not in left_out
        ]
        facts = {name: value for name, value in zip(KIND, kind, strict=True) if value is not None}
        head = json.dumps({**self._always, **facts}, ensure_ascii=False, separators=(",", ":"))
        fields = [f'"{names[place]}":{_FORMATS[types[place]]}' for place in said]
        template = self._templates[shape] = _Template(
            line=f"{head[:-1].replace('%', '%%')},{','.join(fields)}}}",
            said=itemgetter(*said),
            texts=tuple(place for place in said if types[place] is str),
        )
        return template
