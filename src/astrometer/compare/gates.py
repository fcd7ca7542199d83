"""`ttft_p95 worse by 10%` -> a condition on a comparison, and whether it came true.

Three answers, as a gate that cannot tell is no pass: FAIL, PASS and UNDECIDED.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from astrometer.api.metric_table import EXCHANGE_TIMES, METRICS
from astrometer.compare import change_text
from astrometer.compare.change_verdict import GROWTHS, SHARES, ChangeRow, ChangeVerdict
from astrometer.compare.comparable import ComparedRun
from astrometer.compare.comparison import MARGIN, SHARE_MARGIN, Comparison, compare
from astrometer.compare.repeated_looks import Look
from astrometer.compare.samples import ALL
from astrometer.measure.slo.slo_parser import BYTES, OF_SERVER, SERVER_CPU
from astrometer.measure.tally.histogram import MIN_SAMPLES
from astrometer.user_error import UserError

ANY = "any worse"
# What `any worse` must know something of: of all exchanges together.
HEADLINE = (
    "errors",
    *(f"{metric}_p{percent}" for metric in ("ttft", *EXCHANGE_TIMES) for percent in (50, 95)),
)
# And where blocks are looked at in turn: what the server itself adds has more samples and less noise.
WATCHED = (*HEADLINE, "overhead_p50", "accept_time_p50", SERVER_CPU)
_EXPRESSION = re.compile(
    r"(?:(?P<scope>[\w.-]+)\s*:\s*)?(?P<name>[a-z0-9_]+?)(?:_p(?P<percent>\d+))?\s+worse\s+by\s+"
    r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>%|pp|us|ms|s|(?:kB|KiB|[MG]i?B) ?/ ?1000 ?turns)"
)
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_UNIT = {"%": 0.01, "pp": 0.01, **_SECONDS, **BYTES}
_HELP = (
    "write METRIC_pNN worse by LIMIT, such as 'ttft_p95 worse by 10%', 'chat: e2e_p50 worse by 200ms', "
    "'errors worse by 1pp', or 'any worse'"
)


class GateError(UserError):
    """A condition that cannot be read, with the place and what exists."""


class GateVerdict(StrEnum):
    PASS = "PASS"  # noqa: S105 (a verdict, no password)
    FAIL = "FAIL"
    UNDECIDED = "UNDECIDED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """`limit` as a share of the baseline, in seconds (`absolute`), or a difference in the row's own unit."""

    text: str
    scope: str = ALL
    metric: str = ""
    percent: int | None = None
    limit: float = 0.0
    absolute: bool = False

    @property
    def is_any(self) -> bool:
        return not self.metric

    def limit_of(self, base: float) -> float:
        """The limit in units of a row's change, where the baseline is `base`."""
        return self.limit / base if self.absolute else self.limit

    @property
    def row_name(self) -> str:
        return self.metric if self.percent is None else f"{self.metric}_p{self.percent}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """How a gate came out, and why in words."""

    gate: Gate
    verdict: GateVerdict
    why: str


def parse_gate(text: str) -> Gate:
    """`[SCENARIO:] METRIC_pNN worse by LIMIT`, or `any worse`. Raises GateError."""
    words = " ".join(text.split())
    if words == ANY:
        return Gate(text=words)
    match = _EXPRESSION.fullmatch(words)
    if match is None:
        raise GateError(f"--fail-if {text!r}: cannot be read; {_HELP}")
    name, percent, unit = match["name"], match["percent"], match["unit"].partition("/")[0].strip()
    if name in SHARES:
        if percent or unit != "pp":
            raise GateError(
                f"--fail-if {text!r}: {name} is a share; write '{name} worse by 1pp' (percentage points)"
            )
    elif name in OF_SERVER:
        _check_of_server(text, match, unit)
    elif name in METRICS:
        if percent is None:
            raise GateError(f"--fail-if {text!r}: which percentile? write {name}_p95 worse by ...")
        if int(percent) not in MIN_SAMPLES:
            known = ", ".join(f"p{value}" for value in MIN_SAMPLES)
            raise GateError(f"--fail-if {text!r}: p{percent} is not measured; there are {known}")
        if unit == "pp" or unit in BYTES:
            raise GateError(f"--fail-if {text!r}: {name} is a duration; its limit is in %, us, ms or s")
    else:
        known = ", ".join((*METRICS, *SHARES, *OF_SERVER))
        raise GateError(f"--fail-if {text!r}: unknown metric {name!r}; there are {known}")
    limit = float(match["number"]) * _UNIT[unit]
    if limit <= 0 and unit not in _SECONDS:
        raise GateError(f"--fail-if {text!r}: the limit must be above zero")
    return Gate(
        text=words,
        scope=match["scope"] or ALL,
        metric=name,
        percent=int(percent) if percent else None,
        limit=limit,
        absolute=unit in _SECONDS,
    )


def _check_of_server(text: str, match: re.Match[str], unit: str) -> None:
    """Raises GateError."""
    name = match["name"]
    example = f"{name} worse by {'10%' if name == SERVER_CPU else '10MB/1000 turns'}"
    if match["percent"]:
        raise GateError(f"--fail-if {text!r}: {name} is one number of each run; write {example!r}")
    if match["scope"] not in {None, ALL}:
        raise GateError(f"--fail-if {text!r}: the server's process serves all scenarios; write {example!r}")
    if unit not in (BYTES if name in GROWTHS else {"%", *_SECONDS}):
        raise GateError(f"--fail-if {text!r}: the limit has another unit; write {example!r}")


def check_scenarios(gates: Sequence[Gate], comparison: Comparison) -> None:
    """Raises GateError for a scenario that the runs do not have."""
    known = {ALL, *(name for run in comparison.base for name in run.results["scenarios"])}
    for gate in gates:
        if gate.scope not in known:
            raise GateError(
                f"--fail-if {gate.text!r}: no scenario {gate.scope!r}; there are {', '.join(sorted(known))}"
            )


def evaluate_gates(gates: Sequence[Gate], comparison: Comparison) -> list[GateResult]:
    """Each gate's verdict.

    That all of several gates pass needs no correction: whatever is worse must slip through its own gate
    (Berger 1982). That one fails has it: rows with a gate are a family of their own (`compare`).
    """
    return [_any(gate, comparison) if gate.is_any else _one(gate, comparison) for gate in gates]


def compare_for(
    gates: Sequence[Gate],
    base: Sequence[ComparedRun],
    cand: Sequence[ComparedRun],
    *,
    margin: float = MARGIN,
    share_margin: float = SHARE_MARGIN,
    look: Look | None = None,
) -> Comparison:
    """Compare with the gates' limits in mind: a row's margin is never wider than a limit on it.

    So a row says `worse` wherever one of its gates fails.
    """
    named = [gate for gate in gates if not gate.is_any]
    return compare(
        base,
        cand,
        margin=margin,
        share_margin=share_margin,
        limits={
            (gate.scope, gate.metric, gate.percent): [
                other.limit_of
                for other in named
                if (other.scope, other.row_name) == (gate.scope, gate.row_name)
            ]
            for gate in named
        },
        look=look,
        watched=WATCHED if look is not None and len(named) < len(gates) else (),
    )


def _any(gate: Gate, comparison: Comparison) -> GateResult:
    """A row that is worse fails it. It passes on evidence only: what is `cannot tell` may be anything."""

    def result(verdict: GateVerdict, why: str) -> GateResult:
        return GateResult(gate=gate, verdict=verdict, why=why)

    rows = comparison.rows
    unknown = [row for row in rows if row.verdict is ChangeVerdict.CANNOT_TELL]
    told = f"{len(unknown)} of {len(rows)} rows cannot be told"
    if worse := [row for row in rows if row.verdict is ChangeVerdict.WORSE]:
        named = (
            f"{full_name(row.scope, row.name)} {change_text.change(row.change, row.unit)}" for row in worse
        )
        return result(GateVerdict.FAIL, f"worse: {', '.join(named)}")
    if lost := [row for row in rows if row.lost]:
        metrics = dict.fromkeys(full_name(row.scope, row.metric) for row in lost)
        return result(GateVerdict.UNDECIDED, f"no longer measured: {', '.join(metrics)}")
    if comparison.look is not None:
        watched = watched_rows(comparison)
        if open_rows := [row for row in watched if not row.is_not_worse]:
            return result(GateVerdict.UNDECIDED, f"not decided: {_names(open_rows)}; {told}")
        if all(row.is_share for row in watched):
            return result(GateVerdict.UNDECIDED, f"no duration can be told; {told}")
        return result(GateVerdict.PASS, f"surely not worse: {_names(watched)}")
    headline = [row for row in rows if row.scope == ALL and row.name in HEADLINE]
    if doubtful := [row for row in headline if row.verdict is ChangeVerdict.CANNOT_TELL and row.looks_worse]:
        return result(GateVerdict.UNDECIDED, f"may be worse: {_names(doubtful)}; {told}")
    if not any(row.is_not_worse for row in headline if not row.is_share):
        return result(GateVerdict.UNDECIDED, f"no duration can be told; {told}")
    return result(GateVerdict.PASS, f"no row is worse; {told}")


def _one(gate: Gate, comparison: Comparison) -> GateResult:
    """By the interval that its row shows. FAIL: all of it is beyond the limit; PASS: nothing of it is."""

    def result(verdict: GateVerdict, why: str) -> GateResult:
        return GateResult(gate=gate, verdict=verdict, why=why)

    row = comparison.row(gate.scope, gate.row_name)
    if row is None or row.worsening is None or row.base is None:
        why = row.why if row is not None and row.why else "not measured on both sides"
        return result(GateVerdict.UNDECIDED, why)
    limit, (low, high) = gate.limit_of(row.base), row.worsening
    if high < limit:
        return result(GateVerdict.PASS, "surely not that much worse")
    if low >= limit and row.verdict is ChangeVerdict.WORSE:
        shown = change_text.change(row.change, row.unit), change_text.interval(row.interval, row.unit)
        return result(GateVerdict.FAIL, f"{shown[0]} ({shown[1]}), and not by chance")
    return result(GateVerdict.UNDECIDED, "the interval reaches the limit" if low < limit else row.why)


def watched_rows(comparison: Comparison) -> list[ChangeRow]:
    """What `any worse` needs a verdict on, of blocks that are looked at in turn.

    What some block did not measure is not waited for, as no later block changes that, unless the candidate
    lost it.
    """
    return [
        row
        for row in comparison.rows
        if row.scope == ALL and row.name in WATCHED and (row.lost or not row.is_unmeasured)
    ]


def conditioned_rows(gates: Sequence[Gate], comparison: Comparison) -> list[ChangeRow]:
    named = [comparison.row(gate.scope, gate.row_name) for gate in gates if not gate.is_any]
    rows = watched_rows(comparison) if len(named) < len(gates) else []
    return [*rows, *(row for row in named if row is not None)]


def undecided_rows(gates: Sequence[Gate], comparison: Comparison) -> list[tuple[ChangeRow, float]]:
    """The rows that more blocks are needed for, each once, with the change that its gate is about.

    Of `any worse` they are those that are neither better nor same nor worse, unless one is worse: that fails.
    """
    found: dict[str, tuple[ChangeRow, float]] = {}
    for gate in gates:
        if gate.is_any:
            watched = [] if _is_worse(comparison.rows) else watched_rows(comparison)
            found |= {
                row.name: (row, row.margin) for row in watched if row.verdict is ChangeVerdict.CANNOT_TELL
            }
        elif _one(gate, comparison).verdict is GateVerdict.UNDECIDED:
            row = comparison.row(gate.scope, gate.row_name)
            limit = gate.limit_of(row.base) if row is not None and row.base else gate.limit
            found |= {} if row is None else {full_name(row.scope, row.name): (row, limit)}
    return [*found.values()]


def _is_worse(rows: Sequence[ChangeRow]) -> bool:
    return any(row.verdict is ChangeVerdict.WORSE for row in rows)


def _names(rows: Sequence[ChangeRow]) -> str:
    return ", ".join(full_name(row.scope, row.name) for row in rows)


def full_name(scope: str, name: str) -> str:
    return name if scope == ALL else f"{scope}: {name}"


def overall(results: Sequence[GateResult], *, comparable: bool) -> str:
    """NOT COMPARABLE, FAIL, CANNOT TELL, PASS, or NONE when nothing was to be judged."""
    if not comparable:
        return "NOT COMPARABLE"
    verdicts = {result.verdict for result in results}
    if GateVerdict.FAIL in verdicts:
        return "FAIL"
    if GateVerdict.UNDECIDED in verdicts:
        return "CANNOT TELL"
    return "PASS" if verdicts else "NONE"
