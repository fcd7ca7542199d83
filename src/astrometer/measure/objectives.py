"""SLO expressions such as `ttft_p95 < 2s` -> verdicts on what was measured.

A missing value is never good: an objective without (enough) samples is NO_DATA, which is no pass.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from astrometer.measure.histogram import MIN_SAMPLES
from astrometer.measure.tally import Cell

METRICS = (
    "accept_time",
    "gate_wait",
    "ttft",
    "ttft_text",
    "ttft_effective",
    "chunk_gap",
    "max_gap",
    "e2e",
    "e2e_effective",
    "turn_time",
    "tail",
    "tpot",
    "server_ttft",
    "overhead",
    "schedule_lag",
    "duration",
    "duration_effective",
    "delivery",
)
PERCENTS = tuple(MIN_SAMPLES)
SHARES = ("errors", "goodput")
_EXPRESSION = re.compile(
    r"\s*(?P<name>[a-z0-9_]+?)(?:_p(?P<percent>\d+)|_(?P<max>max))?\s*(?P<op><=?|>=?)\s*"
    r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>us|ms|s|m|%)\s*"
)
_UNIT_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


class ObjectiveError(ValueError):
    """An expression that cannot be read, with the place and what exists."""


class Verdict(StrEnum):
    PASS = "PASS"  # noqa: S105 (a verdict, no password)
    FAIL = "FAIL"
    NO_DATA = "NO_DATA"


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """One limit, in seconds or as a share. `percent` None with a duration metric means the maximum."""

    text: str
    metric: str
    percent: int | None
    operator: str
    limit: float

    @property
    def is_share(self) -> bool:
        return self.metric in SHARES


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveResult:
    """How an objective came out; `value` in seconds or as a share, None without enough samples."""

    objective: Objective
    verdict: Verdict
    value: float | None
    n: int


def parse_objective(text: str) -> Objective:
    """`ttft_p95 < 2s`, `e2e_max < 30s`, `errors < 1%`. Raises ObjectiveError."""
    match = _EXPRESSION.fullmatch(text)
    if match is None:
        raise ObjectiveError(
            f"objective {text!r}: cannot be read; "
            "write METRIC_pNN < LIMIT, such as 'ttft_p95 < 2s' or 'errors < 1%'"
        )
    name, percent, unit = match["name"], match["percent"], match["unit"]
    if name in SHARES:
        if percent or match["max"] or unit != "%":
            raise ObjectiveError(f"objective {text!r}: {name} is a share; write '{name} < 1%'")
        limit = float(match["number"]) / 100
    elif name in METRICS:
        if unit == "%":
            raise ObjectiveError(f"objective {text!r}: {name} is a duration; its unit is one of us, ms, s, m")
        if percent is None and match["max"] is None:
            raise ObjectiveError(f"objective {text!r}: which percentile? write {name}_p95 or {name}_max")
        if percent is not None and int(percent) not in PERCENTS:
            known = ", ".join(f"p{value}" for value in PERCENTS)
            raise ObjectiveError(f"objective {text!r}: p{percent} is not measured; there are {known} and max")
        limit = float(match["number"]) * _UNIT_S[unit]
    else:
        known = ", ".join((*METRICS, *SHARES))
        raise ObjectiveError(f"objective {text!r}: unknown metric {name!r}; there are {known}")
    return Objective(
        text=" ".join(text.split()),
        metric=name,
        percent=int(percent) if percent else None,
        operator=match["op"],
        limit=limit,
    )


def parse_objectives(texts: Iterable[str]) -> list[Objective]:
    return [parse_objective(text) for text in texts]


def evaluate(objective: Objective, cell: Cell) -> ObjectiveResult:
    """Judge one objective on merged measurements.

    Latency is judged on all attempts, in which a failure is infinitely slow.
    """
    if objective.is_share:
        n = cell.outcomes.total()
        share = n - cell.outcomes["ok"] if objective.metric == "errors" else cell.good
        value = share / n if n else None
        return _result(objective, value, n)
    histogram = cell.attempts(objective.metric)
    value = histogram.max if objective.percent is None else histogram.quantile_or_none(objective.percent)
    return _result(objective, value, histogram.n)


def evaluate_all(objectives: Sequence[Objective], cell: Cell) -> list[ObjectiveResult]:
    return [evaluate(objective, cell) for objective in objectives]


def goals(objectives: Iterable[Objective]) -> dict[str, float]:
    """Per-exchange limits for goodput: each upper limit on a duration, whatever its percentile."""
    limits: dict[str, float] = {}
    for objective in objectives:
        if not objective.is_share and objective.operator.startswith("<"):
            limits[objective.metric] = min(objective.limit, limits.get(objective.metric, objective.limit))
    return limits


def _result(objective: Objective, value: float | None, n: int) -> ObjectiveResult:
    if value is None or math.isnan(value):
        return ObjectiveResult(objective=objective, verdict=Verdict.NO_DATA, value=None, n=n)
    below, strict = objective.operator.startswith("<"), not objective.operator.endswith("=")
    met = value < objective.limit if below else value > objective.limit
    met = met or (not strict and value == objective.limit)
    return ObjectiveResult(
        objective=objective, verdict=Verdict.PASS if met else Verdict.FAIL, value=value, n=n
    )
