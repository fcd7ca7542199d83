"""The text of a limit, `chat: ttft_p95 < 2s` -> an `Objective`, or an error that points at the place.

[SCENARIO:] METRIC_pNN|METRIC_max < LIMIT us|ms|s|m
[SCENARIO:] errors|stalls|OUTCOME < LIMIT %
[SCENARIO:] goodput|ok > LIMIT %
[SCENARIO:] throughput > LIMIT /s|/m|/h
server_cpu_per_turn < LIMIT us|ms|s|m
server_rss_growth < LIMIT kB|MB|GB/1000 turns
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from astrometer.api.metric_table import METRICS
from astrometer.api.outcome import Outcome
from astrometer.measure.tally.histogram import MIN_SAMPLES

PERCENTS = tuple(MIN_SAMPLES)
OUTCOMES = tuple(outcome.value for outcome in Outcome)
SHARES = ("errors", "goodput", "stalls", *OUTCOMES)
RATES = ("throughput",)
SERVER_CPU, SERVER_RSS = "server_cpu_per_turn", "server_rss_growth"
OF_SERVER = (SERVER_CPU, SERVER_RSS)  # of its process, where that is known
HIGHER_IS_BETTER = ("goodput", Outcome.OK.value, *RATES)  # of everything else less is better
_UNIT_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
_PER_S = {"/s": 1.0, "/m": 1 / 60, "/h": 1 / 3600}
_STATISTICS = (*(f"p{percent}" for percent in PERCENTS), "max")
_STATISTIC = re.compile(r"(?P<metric>[a-z0-9_]+?)_(?:p(?P<percent>\d+)|max)")
_WORD = re.compile(r"[\w.-]+")
_OPERATOR = re.compile(r"<=|>=|<|>")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_LIMIT_UNIT = re.compile(r"%|/?[A-Za-z]+")
BYTES = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}
_COLON = re.compile(":")
_PER_TURNS = re.compile(r"/ ?1000 ?turns\b")


class ObjectiveError(ValueError):
    """An expression that cannot be read: what is wrong, where (a caret below it), and what exists."""


class Unit(StrEnum):
    """What a value and its limit are in."""

    SECONDS = "s"
    SHARE = "share"  # of one
    PER_SECOND = "per_s"
    CPU_PER_TURN = "cpu_s_per_turn"
    GROWTH = "bytes_per_1000_turns"

    @property
    def is_of_server(self) -> bool:
        """Not of exchanges, but of the server's process."""
        return self in {Unit.CPU_PER_TURN, Unit.GROWTH}


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """One limit, in seconds, as a share or per second. `percent` None with a duration: the maximum.

    `scenario` None: all exchanges of the run together.
    """

    text: str
    metric: str
    percent: int | None
    operator: str
    limit: float
    scenario: str | None = None

    @property
    def unit(self) -> Unit:
        if self.metric in SHARES:
            return Unit.SHARE
        if self.metric in OF_SERVER:
            return Unit.CPU_PER_TURN if self.metric == SERVER_CPU else Unit.GROWTH
        return Unit.PER_SECOND if self.metric in RATES else Unit.SECONDS

    @property
    def measure(self) -> str:
        """The metric and its statistic: `ttft_p95`, `e2e_max`, `errors`."""
        if self.unit is not Unit.SECONDS:
            return self.metric
        return f"{self.metric}_{'max' if self.percent is None else f'p{self.percent}'}"

    def met_by(self, value: float) -> bool:
        if value == self.limit:
            return self.operator.endswith("=")
        return value < self.limit if self.operator.startswith("<") else value > self.limit


def parse_objective(text: str) -> Objective:
    """`ttft_p95 < 2s`, `chat: e2e_max < 30s`, `errors < 1%`, `throughput > 5/s`. Raises ObjectiveError."""
    reader = _Reader(" ".join(text.split()))
    scenario = None
    name, at = reader.take(_WORD, "a metric", EXAMPLES)
    if reader.has(_COLON):
        reader.take(_COLON, "", "")
        scenario = name
        name, at = reader.take(_WORD, f"a metric of the scenario {scenario!r}", EXAMPLES)
    metric, percent = _metric(reader, name, at)
    if metric in OF_SERVER and scenario is not None:
        reason = f"the server's process serves all scenarios: leave out '{scenario}:'"
        raise reader.error(reason, 0, len(scenario) + 1)
    wanted = ">" if metric in HIGHER_IS_BETTER else "<"
    operator, at = reader.take(_OPERATOR, f"{wanted} or {wanted}=", "")
    if not operator.startswith(wanted):
        better = "higher" if wanted == ">" else "lower"
        raise reader.error(f"{metric} is better when {better}: write {wanted}", at, len(operator))
    number, _ = reader.take(_NUMBER, "a number", "")
    factor = _factor(reader, metric)
    if metric == SERVER_RSS:
        reader.take(_PER_TURNS, "'/1000 turns'", "write for example 'server_rss_growth < 20MB/1000 turns'")
    reader.end()
    return Objective(
        text=reader.text,
        metric=metric,
        percent=percent,
        operator=operator,
        limit=round(float(number) * factor, 12),  # 57 % is 0.57, not 0.5700000000000001
        scenario=scenario,
    )


def parse_objectives(texts: Iterable[str]) -> list[Objective]:
    return [parse_objective(text) for text in texts]


EXAMPLES = "write for example 'ttft_p95 < 2s', 'errors < 1%' or 'chat: e2e_p99 < 30s'"
_WHAT_EXISTS = (
    f"durations (with _p50, _p90, _p95, _p99 or _max): {', '.join(METRICS)}\n"
    f"shares (in %): errors, goodput, stalls, or one outcome: {', '.join(OUTCOMES)}\n"
    f"rates (per second): {', '.join(RATES)}\n"
    f"of the server's process: {SERVER_CPU} < 0.1s, {SERVER_RSS} < 20MB/1000 turns"
)


class _Reader:
    """Takes an expression apart from left to right, and knows where it is."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._at = 0

    def has(self, pattern: re.Pattern[str]) -> bool:
        self._skip()
        return pattern.match(self.text, self._at) is not None

    def take(self, pattern: re.Pattern[str], wanted: str, hint: str) -> tuple[str, int]:
        """The next word and where it stands. Raises ObjectiveError when something else stands there."""
        self._skip()
        match = pattern.match(self.text, self._at)
        if match is None:
            raise self.error(
                f"{wanted} is missing" if self._at >= len(self.text) else f"expected {wanted}",
                self._at,
                hint=hint,
            )
        self._at = match.end()
        return match[0], match.start()

    def end(self) -> None:
        self._skip()
        if self._at < len(self.text):
            raise self.error("this is too much", self._at, len(self.text) - self._at)

    def error(self, reason: str, at: int, length: int = 1, hint: str = "") -> ObjectiveError:
        lines = [
            f"objective {self.text!r}: {reason}",
            f"  {self.text}",
            f"  {' ' * at}{'^' * max(1, length)}",
        ]
        return ObjectiveError("\n".join([*lines, *([hint] if hint else [])]))

    def _skip(self) -> None:
        while self._at < len(self.text) and self.text[self._at] == " ":
            self._at += 1


def _metric(reader: _Reader, name: str, at: int) -> tuple[str, int | None]:
    """The metric and its percent. Raises ObjectiveError."""
    if name in (*SHARES, *RATES, *OF_SERVER):
        return name, None
    if name in METRICS:
        reason = f"which percentile? write {name}_p95 or {name}_max"
        raise reader.error(reason, at, len(name))
    match = _STATISTIC.fullmatch(name)
    metric = match["metric"] if match else name
    if match is None or metric not in METRICS:
        if metric in (*SHARES, *RATES, *OF_SERVER):
            raise reader.error(f"{metric} has no percentiles; write {metric} alone", at, len(name))
        known = [*METRICS, *SHARES, *RATES, *OF_SERVER]
        if match is None:
            known += [f"{metric}_{statistic}" for metric in METRICS for statistic in _STATISTICS]
        close = difflib.get_close_matches(metric, known, n=1, cutoff=0.6)
        meant = f" (did you mean {close[0]!r}?)" if close else ""
        raise reader.error(f"unknown metric {metric!r}{meant}", at, len(metric), f"there are\n{_WHAT_EXISTS}")
    percent = int(match["percent"]) if match["percent"] else None
    if percent is not None and percent not in PERCENTS:
        there = ", ".join(f"p{value}" for value in PERCENTS)
        statistic = len(f"p{match['percent']}")
        place = at + len(name) - statistic
        raise reader.error(f"p{percent} is not measured; there are {there} and max", place, statistic)
    return metric, percent


def _factor(reader: _Reader, metric: str) -> float:
    """What a number in the given unit has to be multiplied with. Raises ObjectiveError."""
    kind, units = _units(metric)
    wanted = f"the unit ({', '.join(units)})"
    unit, at = reader.take(_LIMIT_UNIT, wanted, "")
    if unit not in units:
        raise reader.error(f"{metric} is {kind}; its unit is {' or '.join(units)}", at, len(unit))
    return units[unit]


def _units(metric: str) -> tuple[str, Mapping[str, float]]:
    if metric in SHARES:
        return "a share", {"%": 0.01}
    if metric == SERVER_RSS:
        return "a size", BYTES
    return ("a rate", _PER_S) if metric in RATES else ("a duration", _UNIT_S)
