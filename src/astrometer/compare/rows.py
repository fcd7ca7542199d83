"""The same part of the runs of both sides -> a row for each percentile and share, with its interval. Pure."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist, fmean
from typing import Any

from astrometer.compare.bootstrap import (
    Distribution,
    Sample,
    log_change,
    paired_superiority,
    superiority,
)
from astrometer.compare.change_verdict import ALPHA, ChangeRow, OutcomeRow
from astrometer.compare.proportions import difference
from astrometer.compare.repeated_looks import FEWEST_PAIRS, Look, Repeated, paired_change
from astrometer.compare.samples import Effects, ScopeStats, Side
from astrometer.compare.student import Student
from astrometer.measure.results.result_parts import window_outcomes
from astrometer.measure.tally.histogram import MIN_SAMPLES
from astrometer.measure.wilson import Interval, Proportion

# Below this a change is within what the load generator itself may be off (bench/RESULTS.md).
LEAST_MARGIN_S = 0.001
LEAST_RUN = 20  # samples of a single run, whatever the pool has
_Z = NormalDist().inv_cdf(1 - ALPHA)


def latency_row(
    scoped: ScopeStats,
    metric: str,
    percent: int,
    margin: float,
    effects: Effects,
    *,
    look: Look | None = None,
) -> ChangeRow:
    """A percentile of what every run measured. With a `look` the runs are pairs of blocks."""
    base, cand = scoped.samples(metric, percent, effects)
    numbers = [sum(sample.ecdf.n for sample in side) for side in (base, cand)]
    least = LEAST_RUN if look is None else least_of_block(percent)
    enough = min(numbers) >= MIN_SAMPLES[percent] and all(s.ecdf.n >= least for s in (*base, *cand))
    values = [[sample.percentile(percent) for sample in side] for side in (base, cand)]
    typical = [geometric_mean(side) for side in values]
    row = ChangeRow(
        scope=scoped.scope,
        metric=metric,
        percent=percent,
        base=typical[0] if enough else None,
        cand=typical[1] if enough else None,
        base_n=numbers[0],
        cand_n=numbers[1],
        base_runs=tuple(values[0]) if enough else (),
        cand_runs=tuple(values[1]) if enough else (),
        margin=margin,
    )
    if not enough:
        part = "run" if look is None else "block"
        why = (
            f"too few samples: p{percent} needs {MIN_SAMPLES[percent]:,} on each side, {least} in each {part}"
        )
        return replace(row, why=why)
    if percent == 50:  # it is of the metric, whatever the percentile
        ecdfs = [sample.ecdf for sample in base], [sample.ecdf for sample in cand]
        slower = superiority(*ecdfs) if look is None else paired_superiority(*ecdfs)
        row = replace(row, superiority=slower)
    if math.isinf(typical[0]) or math.isinf(typical[1]):
        row = replace(row, why=f"more than {100 - percent} % of the attempts failed")
        before, after = (_lost(side, percent, _z_of(look)) for side in (base, cand))
        if before is None or after is None or before == after:
            return row
        change = math.inf if after else -math.inf
        belief: Distribution = Student(center=change, scale=1.0, degrees=1)
    elif look is not None:
        change, belief = paired_change(values[0], values[1], look)
    else:
        rng = random.Random(f"{scoped.scope} {row.name}")  # noqa: S311
        change, belief = log_change(base, cand, percent, rng)
    low, high = (relative(belief.quantile(share)) for share in (ALPHA, 1 - ALPHA))
    if low == -1 and high == math.inf:
        why = "failures may reach it: no interval"
        if look is not None and look.pairs < FEWEST_PAIRS:
            why = f"needs {FEWEST_PAIRS} pairs of blocks"
        return replace(row, change=relative(change), why=why)
    return replace(
        row,
        margin=max(margin, LEAST_MARGIN_S / typical[0]),
        change=relative(change),
        interval=Interval(low, high),
        belief=belief,
    )


def least_of_block(percent: int) -> int:
    """Samples of a block below which its percentile is hardly more than its maximum."""
    return max(5, math.ceil(100 / (100 - percent)))


def unmeasured_row(
    scoped: ScopeStats, metric: str, percent: int, margin: float, lacking: Mapping[Side, str]
) -> ChangeRow:
    """A percentile of something that only one side has: it is shown all the same."""
    numbers = [sum(scoped.counts(metric, side)) for side in Side]
    return replace(
        bare_row(scoped, metric, percent, numbers, margin),
        why=" and ".join(lacking.values()),
        is_unmeasured=True,
        # With so few samples it may be chance. AstrBot before 4.26.7 has no gate wait.
        lost=Side.CANDIDATE in lacking and numbers[0] >= MIN_SAMPLES[percent] and metric != "gate_wait",
    )


def bare_row(
    scoped: ScopeStats, metric: str, percent: int | None, numbers: Sequence[int], margin: float
) -> ChangeRow:
    """What nothing is known of yet but how many samples there are."""
    return ChangeRow(
        scope=scoped.scope,
        metric=metric,
        percent=percent,
        base=None,
        cand=None,
        base_n=numbers[0],
        cand_n=numbers[1],
        base_runs=(),
        cand_runs=(),
        margin=margin,
    )


def errors_row(scoped: ScopeStats, margin: float, look: Look | None = None) -> ChangeRow:
    counts = [[counted_errors(stats) for stats in side] for side in scoped.sides]
    return _share("errors", scoped, counts, margin, look)


def goodput_row(scoped: ScopeStats, margin: float, look: Look | None = None) -> ChangeRow:
    counts = [[counted_goodput(stats) for stats in side] for side in scoped.sides]
    return _share("goodput", scoped, counts, margin, look)


def counted_errors(stats: Mapping[str, Any]) -> tuple[int, int]:
    """How many of what began in the window failed, and of how many, as the objectives of a run count them."""
    outcomes = window_outcomes(stats)
    total = sum(outcomes.values())
    return total - outcomes.get("ok", 0), total


def counted_goodput(stats: Mapping[str, Any]) -> tuple[int, int]:
    """Of the same exchanges as the errors."""
    return stats["goodput"]["good"], sum(window_outcomes(stats).values())


def _share(
    metric: str, scoped: ScopeStats, counts: list[list[tuple[int, int]]], margin: float, look: Look | None
) -> ChangeRow:
    numbers = [sum(total for _, total in side) for side in counts]
    row = bare_row(scoped, metric, None, numbers, margin)
    if any(total == 0 for side in counts for _, total in side):
        return replace(row, why="a run has nothing to count")
    if look is not None and look.pairs < FEWEST_PAIRS:
        return replace(row, why=f"needs {FEWEST_PAIRS} pairs of blocks")
    change = difference(*counts)
    belief: Distribution = change if look is None else Repeated(once=change, look=look)
    return replace(
        row,
        base=change.base.value,
        cand=change.cand.value,
        base_runs=tuple(count / total for count, total in counts[0]),
        cand_runs=tuple(count / total for count, total in counts[1]),
        base_interval=change.base.wilson(_Z),
        cand_interval=change.cand.wilson(_Z),
        change=change.value,
        interval=Interval(belief.quantile(ALPHA), belief.quantile(1 - ALPHA)),
        belief=belief,
    )


def outcome_rows(base: list[Mapping[str, Any]], cand: list[Mapping[str, Any]]) -> list[OutcomeRow]:
    """How what began in the window ended: the shares of failures add up to that of the errors."""
    ended = [[window_outcomes(run) for run in side] for side in (base, cand)]
    totals = [[sum(outcomes.values()) for outcomes in side] for side in ended]
    if any(total == 0 for side in totals for total in side):
        return []
    names = {name for side in ended for outcomes in side for name in outcomes}
    rows = []
    for name in sorted(names, key=lambda name: (name != "ok", name)):
        counts = [[outcomes.get(name, 0) for outcomes in side] for side in ended]
        change = difference(*([*zip(side, of, strict=True)] for side, of in zip(counts, totals, strict=True)))
        rows.append(
            OutcomeRow(
                outcome=name,
                base=sum(counts[0]),
                cand=sum(counts[1]),
                base_share=change.base.value,
                cand_share=change.cand.value,
                base_interval=change.base.wilson(_Z),
                cand_interval=change.cand.wilson(_Z),
                interval=Interval(change.quantile(ALPHA), change.quantile(1 - ALPHA)),
            )
        )
    return rows


def _z_of(look: Look | None) -> float:
    """How many standard errors an interval reaches; further where one looks again and again."""
    if look is None:
        return _Z
    return math.inf if look.pairs < FEWEST_PAIRS else NormalDist().inv_cdf(1 - look.level(ALPHA))


def _lost(side: Sequence[Sample], percent: int, z: float) -> bool | None:
    """Whether the percentile is one of the failures; None when chance alone might have decided it."""
    allowed = 1 - percent / 100
    shares = [sample.failed for sample in side]
    low, high = Proportion(value=fmean(shares), n=sum(sample.n for sample in side)).wilson(z)
    if low > allowed and min(shares) > allowed:
        return True
    return False if high < allowed and max(shares) < allowed else None


def geometric_mean(values: Sequence[float]) -> float:
    return math.exp(fmean(math.log(value) for value in values))


def relative(log_ratio: float) -> float:
    return math.expm1(log_ratio) if log_ratio < 700 else math.inf
