"""A metric of the runs of a point -> its value with a 95 % interval, from the histograms in the files. Pure.

Within a run the interval of a percentile is Woodruff's (1952): Wilson's interval of the share below it, put
through the inverse of the empirical distribution. Samples of one run resemble each other, so they count as
fewer (`samples`). For several runs the interval comes from how much they differ, and is never narrower than
the interval within a run.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, variance

from astrometer.compare.bootstrap import LEAST_SCALE, Sample
from astrometer.compare.change_verdict import ALPHA
from astrometer.compare.comparable import ComparedRun
from astrometer.compare.proportions import difference
from astrometer.compare.rows import LEAST_RUN, counted_errors, counted_goodput
from astrometer.compare.samples import ALL, Effects, ScopeStats, Side
from astrometer.compare.server_rows import LEAST_SCALE_GROWTH, PARTS, server_value, variance_within
from astrometer.compare.student import Student
from astrometer.history.run_groups import Point
from astrometer.measure.slo.slo_parser import SERVER_CPU
from astrometer.measure.tally.histogram import MIN_SAMPLES
from astrometer.measure.wilson import Interval, Proportion

_Z = NormalDist().inv_cdf(1 - ALPHA)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunValue:
    """A metric of one run on the scale on which steps are looked for: `back` leads to the value's own.

    `variance`: what the run itself leaves open. `n`: samples. `limits`: of the value, within the run.
    """

    run: ComparedRun
    at: float
    variance: float
    n: int
    limits: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class PointValue:
    """`value` is infinite where the percentile is one of failed attempts."""

    value: float
    interval: Interval
    n: int
    runs: tuple[RunValue, ...]


def percentile_value(point: Point, metric: str, percent: int, effects: Effects) -> PointValue | None:
    """None where too few samples say it."""
    having = [
        run for run in point.runs if ScopeStats.of(ALL, [run.results], []).counts(metric, Side.BASELINE)
    ]
    if not having:
        return None
    samples, _ = ScopeStats.of(ALL, [run.results for run in having], []).samples(metric, percent, effects)
    kept = [(run, sample) for run, sample in zip(having, samples, strict=True) if sample.ecdf.n >= LEAST_RUN]
    if sum(sample.ecdf.n for _, sample in kept) < MIN_SAMPLES[percent]:
        return None
    return _typical(
        [_of_percentile(run, sample, percent) for run, sample in kept], math.exp, LEAST_SCALE, None
    )


def _of_percentile(run: ComparedRun, sample: Sample, percent: int) -> RunValue:
    share = Proportion(value=percent / 100, n=sample.n).wilson(_Z)
    limits = Interval(*(sample.ecdf.inverse(end) for end in share))
    at, low = (math.log(max(value, 1e-6)) for value in (sample.percentile(percent), limits.low))
    # Above it there may be failures.
    spread = (at - low) / _Z if math.isfinite(at) and math.isfinite(low) else 0.0
    return RunValue(run=run, at=at, variance=spread**2, n=sample.ecdf.n, limits=limits)


def share_value(point: Point, metric: str) -> PointValue | None:
    """Of errors or goodput. On the scale of arcsin(sqrt(p)) its variance is 1/4n, whatever p."""
    count = counted_errors if metric == "errors" else counted_goodput
    counted = [(run, *count(run.results)) for run in point.runs]
    counts = [(part, of) for _, part, of in counted if of]
    if not counts:
        return None
    known = difference(counts, counts).base
    runs = tuple(
        RunValue(
            run=run, at=math.asin(math.sqrt(part / of)), variance=1 / (4 * of), n=of,
            limits=Proportion(value=part / of, n=of).wilson(_Z),
        )
        for run, part, of in counted
        if of
    )  # fmt: skip
    return PointValue(value=known.value, interval=known.wilson(_Z), n=sum(run.n for run in runs), runs=runs)


def server_point(point: Point, metric: str) -> PointValue | None:
    """CPU per turn or growth of memory, of the runs whose server's process was watched."""
    is_cpu = metric == SERVER_CPU
    runs = []
    for run in point.runs:
        server = run.results["server"] or {}
        value = server_value(metric, server)
        if value is None:
            continue
        own = variance_within(run.results, "cpu_s" if is_cpu else "rss_bytes")
        at, own = (math.log(value), own / value**2) if is_cpu else (value, 1e6 * own)
        limits = Interval(-math.inf, math.inf)  # of parts of the run, below
        runs.append(RunValue(run=run, at=at, variance=own, n=server["turns"], limits=limits))
    if not runs:
        return None
    back, least = (math.exp, LEAST_SCALE) if is_cpu else (float, LEAST_SCALE_GROWTH)
    return _typical(runs, back, least, PARTS - 1)


def _typical(
    runs: Sequence[RunValue], back: Callable[[float], float], least_scale: float, degrees: int | None
) -> PointValue:
    """`degrees` of freedom of what is within a run; None: its own `limits` are its interval."""
    center = fmean(run.at for run in runs)
    if len(runs) == 1 and degrees is None:
        interval = runs[0].limits
    elif any(math.isinf(run.at) for run in runs):
        interval = Interval(min(run.limits.low for run in runs), math.inf)
    else:
        within = fmean(run.variance for run in runs)
        between = variance(run.at for run in runs) if len(runs) > 1 else 0.0
        scale = math.sqrt(max(within, between) / len(runs))
        belief = Student(center=center, scale=max(scale, least_scale), degrees=len(runs) - 1 or degrees or 1)
        interval = Interval(*(back(belief.quantile(share)) for share in (ALPHA, 1 - ALPHA)))
    return PointValue(value=back(center), interval=interval, n=sum(run.n for run in runs), runs=tuple(runs))
