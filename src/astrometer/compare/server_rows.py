"""What the server's process used in each run -> a row of its CPU per turn and one of its growth. Pure.

Runs of a side differ by more than chance within them, so their spread makes the interval, as for times. Of a
single run each it comes from parts of the run: CPU (or growth) by turns is a ratio, whose variance is that of
what each part has above or below it (Cochran 1977, section 6.4).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import fmean
from typing import Any

from astrometer.compare.bootstrap import LEAST_SCALE, Distribution, between_variance
from astrometer.compare.change_verdict import ALPHA, ChangeRow, ChangeUnit
from astrometer.compare.repeated_looks import FEWEST_PAIRS, Look, paired, paired_change
from astrometer.compare.rows import bare_row, geometric_mean, relative
from astrometer.compare.samples import ScopeStats, Side
from astrometer.compare.student import Student
from astrometer.measure.server_usage import MIN_TURNS_GROWTH
from astrometer.measure.slo.slo_parser import OF_SERVER, SERVER_CPU
from astrometer.measure.wilson import Interval

LEAST_MARGIN_GROWTH = 5e6  # bytes per 1,000 turns: an allocator takes and gives memory in lumps
LEAST_SCALE_GROWTH = 1e4
PARTS = 8  # of a single run
Numbers = Sequence[Sequence[float]]  # of each run of a side


def server_rows(scoped: ScopeStats, margin: float, look: Look | None) -> list[ChangeRow]:
    """Of runs whose server's process was watched; empty where none was."""
    rows = (_row(scoped, name, margin, look) for name in OF_SERVER)
    return [row for row in rows if row is not None]


def _row(scoped: ScopeStats, name: str, margin: float, look: Look | None) -> ChangeRow | None:
    servers = [[results["server"] or {} for results in side] for side in scoped.runs]
    found = [[server_value(name, server, look) for server in side] for side in servers]
    if all(value is None for side in found for value in side):
        return None
    turns = [sum(server.get("turns") or 0 for server in side) for side in servers]
    row = bare_row(scoped, name, None, turns, margin)
    known = [[value for value in side if value is not None] for side in found]
    if lacking := [side.name.lower() for side in Side if len(known[side]) < len(found[side])]:
        what = "block" if look is not None else "run"
        return replace(
            row, why=f"not known of every {what} of the {' and '.join(lacking)}", is_unmeasured=True
        )
    if row.unit is ChangeUnit.BYTES:
        return _growth_row(row, known, scoped, look)
    if look is not None:
        change, belief = paired_change(known[0], known[1], look)
    else:
        logs = [[math.log(value) for value in side] for side in known]
        change = fmean(logs[1]) - fmean(logs[0])
        within = [
            [variance_within(results, "cpu_s") / value**2 for results, value in zip(runs, side, strict=True)]
            for runs, side in zip(scoped.runs, known, strict=True)
        ]
        belief = _over_runs(change, logs, within, LEAST_SCALE)
    row = _of_sides(row, known, [geometric_mean(side) for side in known])
    low, high = (relative(belief.quantile(share)) for share in (ALPHA, 1 - ALPHA))
    return _with_interval(row, relative(change), Interval(low, high), belief, look)


def _growth_row(row: ChangeRow, known: Numbers, scoped: ScopeStats, look: Look | None) -> ChangeRow:
    """Its growth may be zero or less: the change is a difference."""
    if min(row.base_n, row.cand_n) < MIN_TURNS_GROWTH:
        return replace(row, why=f"too few turns: {MIN_TURNS_GROWTH} are needed on each side")
    if look is not None:
        differences = [after - before for before, after in zip(*known, strict=True)]
        change, belief = paired(differences, look, LEAST_SCALE_GROWTH)
    else:
        change = fmean(known[1]) - fmean(known[0])
        within = [[1e6 * variance_within(results, "rss_bytes") for results in runs] for runs in scoped.runs]
        belief = _over_runs(change, known, within, LEAST_SCALE_GROWTH)
    base, cand = (fmean(side) for side in known)
    row = replace(
        _of_sides(row, known, [base, cand]), margin=max(row.margin * abs(base), LEAST_MARGIN_GROWTH)
    )
    low, high = (belief.quantile(share) for share in (ALPHA, 1 - ALPHA))
    return _with_interval(row, change, Interval(low, high), belief, look)


def server_value(name: str, server: Mapping[str, Any], look: Look | None = None) -> float | None:
    """Of one run, as its report says it. A block is too short for a line through its samples."""
    if name == SERVER_CPU:
        value: float | None = server.get("cpu_per_turn_s") or None
    elif look is None or not server.get("rss_bytes") or server["ended"] or not server["turns"]:
        value = server.get("rss_growth_bytes")
    else:
        grown = server["rss_bytes"]["end"] - server["rss_bytes"]["begin"]
        value = 1000 * grown / server["turns"]
    return value


def _over_runs(change: float, values: Numbers, within: Numbers, least_scale: float) -> Distribution:
    """By how much the runs of a side differ, but never surer than parts of the runs make it."""
    by_parts = sum(sum(side) / len(side) ** 2 for side in within)
    if len(values[0]) == len(values[1]) == 1:
        return Student(center=change, scale=max(math.sqrt(by_parts), least_scale), degrees=2 * (PARTS - 1))
    scale = math.sqrt(max(between_variance(values), by_parts, least_scale**2))
    return Student(center=change, scale=scale, degrees=sum(map(len, values)) - 2)


def variance_within(results: Mapping[str, Any], column: str) -> float:
    """The variance of what a turn adds to `column`, from parts of the run; infinite in a short one."""
    series, window = results["server"]["series"], results["window"]
    kept = [
        (turns, used)
        for t_s, turns, used in zip(series["t_s"], series["turns"], series[column], strict=True)
        if window["excluded_s"] <= t_s <= window["duration_s"]
    ]
    if len(kept) <= PARTS:
        return math.inf
    ends = [kept[round(place * (len(kept) - 1) / PARTS)] for place in range(PARTS + 1)]
    parts = [(after[0] - before[0], after[1] - before[1]) for before, after in pairwise(ends)]
    turns, used = (sum(column) for column in zip(*parts, strict=True))
    if not turns:
        return math.inf
    squares = sum((part - used / turns * n) ** 2 for n, part in parts)
    variance: float = PARTS / (PARTS - 1) * squares / turns**2
    return variance


def _of_sides(row: ChangeRow, known: Numbers, typical: Sequence[float]) -> ChangeRow:
    return replace(
        row, base=typical[0], cand=typical[1], base_runs=tuple(known[0]), cand_runs=tuple(known[1])
    )


def _with_interval(
    row: ChangeRow, change: float, interval: Interval, belief: Distribution, look: Look | None
) -> ChangeRow:
    row = replace(row, change=change)
    if interval.high == math.inf:
        pairs = f"needs {FEWEST_PAIRS} pairs of blocks"
        return replace(row, why=pairs if look is not None else "the run is too short for an interval")
    return replace(row, interval=interval, belief=belief)
