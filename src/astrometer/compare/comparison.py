"""Runs of a baseline and of a candidate -> what changed, how surely, and in whose favour. Numbers only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from astrometer.compare.change_verdict import ChangeRow, OutcomeRow, judged
from astrometer.compare.comparable import Comparability, ComparedRun, check
from astrometer.compare.rows import errors_row, goodput_row, latency_row, outcome_rows, unmeasured_row
from astrometer.compare.samples import ALL, Cells, Effects

MARGIN = 0.05  # of the baseline's value
SHARE_MARGIN = 0.02  # two percentage points
COMPARED = {
    "ttft": (50, 95, 99),
    "ttft_effective": (50, 95, 99),
    "chunk_gap": (50, 95, 99),
    "e2e": (50, 95, 99),
    "e2e_effective": (50, 95, 99),
    "overhead": (50, 95),
    "accept_time": (50, 95),
    "duration": (50, 95, 99),
    "duration_effective": (50, 95, 99),
    "delivery": (50, 95),
}
COMPARED_IN_SCENARIOS = {"ttft": (50, 95), "e2e": (50, 95), "duration": (50, 95), "delivery": (50, 95)}
_ONLY_OPEN = {"ttft_effective", "e2e_effective", "duration_effective"}


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

    def row(self, scope: str, name: str) -> ChangeRow | None:
        where = ALL if scope == self.sole else scope
        return next((row for row in self.rows if (row.scope, row.name) == (where, name)), None)

    @property
    def is_of_single_runs(self) -> bool:
        return len(self.base) == len(self.cand) == 1


def compare(
    base: Sequence[ComparedRun],
    cand: Sequence[ComparedRun],
    *,
    margin: float = MARGIN,
    share_margin: float = SHARE_MARGIN,
    more: Iterable[tuple[str, str, int]] = (),
) -> Comparison:
    """Compare whatever the runs are; `comparability` says whether that means anything.

    `more`: (scope, metric, percent) that are wanted besides the usual ones.
    """
    comparability = check(base, cand)
    sides = ([run.results for run in base], [run.results for run in cand])
    ran = [{*results["scenarios"]} for results in (*sides[0], *sides[1])]
    every = set.union(*ran)
    sole = next(iter(every)) if len(every) == 1 else None
    scopes = [ALL] if sole else [ALL, *sorted(set.intersection(*ran))]
    effects = Effects()
    rows = []
    for scope in scopes:
        cells = Cells.of(scope, *sides)
        asked = [(name, percent) for at, name, percent in more if (ALL if at == sole else at) == scope]
        for name, percent in _wanted(scope, asked, is_open=sides[0][0].get("arrivals") is not None):
            lacking = cells.lacking(name)
            if lacking is None:
                continue  # nobody ever measured it
            rows.append(
                unmeasured_row(cells, name, percent, margin, lacking)
                if lacking
                else latency_row(cells, name, percent, margin, effects)
            )
        rows.append(errors_row(cells, share_margin))
        if all("goodput" not in note for note in comparability.notes) and sides[0][0]["objectives"]:
            rows.append(goodput_row(cells, share_margin))
    return Comparison(
        base=tuple(base),
        cand=tuple(cand),
        comparability=replace(comparability, notes=(*comparability.notes, *_gaps(rows))),
        rows=(
            # Each scenario repeats what the whole says: a family of its own for the correction.
            *judged([row for row in rows if row.scope == ALL]),
            *judged([row for row in rows if row.scope != ALL]),
        ),
        outcomes=tuple(outcome_rows(*sides)),
        margin=margin,
        share_margin=share_margin,
        sole=sole,
    )


def _wanted(scope: str, asked: Iterable[tuple[str, int]], *, is_open: bool) -> list[tuple[str, int]]:
    """The usual percentiles and those asked for, each once, by metric."""
    usual = [
        (name, percent)
        for name, percents in (COMPARED if scope == ALL else COMPARED_IN_SCENARIOS).items()
        for percent in percents
        if is_open or name not in _ONLY_OPEN
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
