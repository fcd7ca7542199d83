"""Runs of a baseline and of a candidate -> what changed, how surely, and in whose favour. Numbers only."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from astrometer.compare.change_verdict import ChangeRow, ChangeUnit, OutcomeRow, judged
from astrometer.compare.comparable import Comparability, ComparedRun, check
from astrometer.compare.repeated_looks import Look
from astrometer.compare.rows import (
    LEAST_MARGIN_S,
    errors_row,
    goodput_row,
    latency_row,
    outcome_rows,
    unmeasured_row,
)
from astrometer.compare.samples import ALL, Effects, ScopeStats
from astrometer.compare.server_rows import server_rows
from astrometer.measure.slo.slo_parser import OF_SERVER, SERVER_CPU

MARGIN = 0.05  # of the baseline's value
# In short blocks a wider margin, or ten minutes could never tell: few samples make a block's p90 and above,
# and what the server itself adds is a small part of a turn, which varies more.
TAIL_FACTOR = 3
OWN_FACTOR = 2
OF_SERVER_ITSELF = frozenset({"overhead", "accept_time", "gate_wait", *OF_SERVER})
SHARE_MARGIN = 0.02  # two percentage points
COMPARED = {
    "ttft": (50, 95, 99),
    "ttft_effective": (50, 95, 99),
    "chunk_gap": (50, 95, 99),
    "e2e": (50, 95, 99),
    "e2e_effective": (50, 95, 99),
    "overhead": (50, 95),
    "accept_time": (50, 95),
    "gate_wait": (50,),
    "duration": (50, 95, 99),
    "duration_effective": (50, 95, 99),
    "reply_first": (50, 95, 99),
    "reply_first_effective": (50, 95, 99),
    "reply_last": (50, 95, 99),
    "reply_last_effective": (50, 95, 99),
    "delivery": (50, 95),
}
COMPARED_IN_SCENARIOS = dict.fromkeys(
    ("ttft", "e2e", "duration", "reply_first", "reply_last", "delivery"), (50, 95)
)
# Of a row, from the baseline's value to the smallest change that a condition is about.
Limit = Callable[[float], float]
Limits = Mapping[tuple[str, str, int | None], Sequence[Limit]]  # by scope, metric, percent
ONLY_OPEN = {name for name in COMPARED if name.endswith("_effective")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All that is known of two sides. `rows` first of everything, then scenario by scenario.

    `sole`: the only scenario that ran, on either side; its rows are those of everything.
    """

    base: tuple[ComparedRun, ...]
    cand: tuple[ComparedRun, ...]
    comparability: Comparability
    rows: tuple[ChangeRow, ...]
    outcomes: tuple[OutcomeRow, ...]
    margin: float
    share_margin: float
    sole: str | None = None
    look: Look | None = None  # the runs are pairs of blocks, at this of many looks

    def row(self, scope: str, name: str) -> ChangeRow | None:
        where = ALL if scope == self.sole else scope
        return next((row for row in self.rows if (row.scope, row.name) == (where, name)), None)

    @property
    def is_of_single_runs(self) -> bool:
        return len(self.base) == len(self.cand) == 1 and self.look is None


def compare(
    base: Sequence[ComparedRun],
    cand: Sequence[ComparedRun],
    *,
    margin: float = MARGIN,
    share_margin: float = SHARE_MARGIN,
    limits: Limits = MappingProxyType({}),
    look: Look | None = None,
    watched: Collection[str] = (),
) -> Comparison:
    """Compare whatever the runs are; `comparability` says whether that means anything.

    `limits`: rows that somebody sets conditions on. They are there besides the usual ones, their margins are
    no wider than the limits, and they are a family of their own for the correction, together with the rows
    `watched` of everything. `look`: the runs are pairs of blocks, and this is one of many looks at them.
    """
    comparability = check(base, cand, are_blocks=look is not None)
    sides = ([run.results for run in base], [run.results for run in cand])
    ran = [{*results["scenarios"]} for results in (*sides[0], *sides[1])]
    every = set.union(*ran)
    sole = next(iter(every)) if len(every) == 1 else None
    scopes = [ALL] if sole else [ALL, *sorted(set.intersection(*ran))]
    effects = Effects()
    rows: list[ChangeRow] = []
    primary: list[ChangeRow] = []
    for scope in scopes:
        scoped = ScopeStats.of(scope, *sides)
        asked = {
            (name, percent): limit
            for (at, name, percent), limit in limits.items()
            if (ALL if at == sole else at) == scope
        }
        extra = [(name, percent) for name, percent in asked if percent is not None]
        made = []
        for name, percent in _wanted(scope, extra, is_open=sides[0][0]["arrivals"] is not None):
            lacking = scoped.lacking(name)
            if lacking is None:
                continue  # nobody ever measured it
            made.append(
                unmeasured_row(scoped, name, percent, margin, lacking)
                if lacking
                else latency_row(
                    scoped, name, percent, margin_of(name, percent, margin, look), effects, look=look
                )
            )
        if scope == ALL:
            made += server_rows(scoped, margin_of(SERVER_CPU, None, margin, look), look)
        made.append(errors_row(scoped, share_margin, look))
        if all("goodput" not in note for note in comparability.notes) and sides[0][0]["objectives"]:
            made.append(goodput_row(scoped, share_margin, look))
        named = {
            (row.metric, row.percent): _within(row, asked.get((row.metric, row.percent), ())) for row in made
        }
        primary += [
            row for key, row in named.items() if key in asked or (scope == ALL and row.name in watched)
        ]
        rows += named.values()
    told = _judged_by_family(rows, primary)
    return Comparison(
        base=tuple(base),
        cand=tuple(cand),
        comparability=replace(comparability, notes=(*comparability.notes, *_gaps(rows))),
        rows=tuple(told),
        outcomes=tuple(outcome_rows(*sides)),
        margin=margin,
        share_margin=share_margin,
        sole=sole,
        look=look,
    )


def margin_of(name: str, percent: int | None, margin: float, look: Look | None) -> float:
    """Of a percentile of a duration, or of what the server's process used."""
    if look is None:
        return margin
    tail = TAIL_FACTOR if percent is not None and percent >= 90 else 1
    return margin * tail * (OWN_FACTOR if name in OF_SERVER_ITSELF else 1)


def _within(row: ChangeRow, limits: Sequence[Limit]) -> ChangeRow:
    """The row with a margin no wider than its limits, and never below what the load generator may be off."""
    if row.base is None or not limits:
        return row
    least = LEAST_MARGIN_S / row.base if row.unit is ChangeUnit.RATIO else 0.0
    return replace(row, margin=min(row.margin, max(least, min(limit(row.base) for limit in limits))))


def _judged_by_family(rows: Sequence[ChangeRow], primary: Sequence[ChangeRow]) -> list[ChangeRow]:
    """Rows with a condition, the others of everything, and those of single scenarios, which repeat it."""
    first = {id(row) for row in primary}
    families = (
        [row for row in rows if id(row) in first],
        [row for row in rows if id(row) not in first and row.scope == ALL],
        [row for row in rows if id(row) not in first and row.scope != ALL],
    )
    told = {
        id(row): verdict for family in families for row, verdict in zip(family, judged(family), strict=True)
    }
    return [told[id(row)] for row in rows]


def _wanted(scope: str, asked: Iterable[tuple[str, int]], *, is_open: bool) -> list[tuple[str, int]]:
    """The usual percentiles and those asked for, each once, by metric."""
    usual = [
        (name, percent)
        for name, percents in (COMPARED if scope == ALL else COMPARED_IN_SCENARIOS).items()
        for percent in percents
        if is_open or name not in ONLY_OPEN
    ]
    order = {name: place for place, (name, _) in enumerate(usual)}
    return sorted({*usual, *asked}, key=lambda item: (order.get(item[0], len(order)), *item))


def _gaps(rows: Iterable[ChangeRow]) -> list[str]:
    """A note for each metric that not every run has; of a scenario only when it is not so of everything."""
    found = dict.fromkeys((row.scope, row.metric, row.why) for row in rows if row.is_unmeasured)
    return [
        f"{metric} is {why}" if scope == ALL else f"in {scope}: {metric} is {why}"
        for scope, metric, why in found
        if scope == ALL or (ALL, metric, why) not in found
    ]
