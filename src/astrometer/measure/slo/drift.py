"""The timeline of a run -> whether it was steady: a trend or a shift of level that matters. Pure.

A percentile of a run that becomes slower and slower is one of its length, and not one of the server. What is
looked at are the medians of equal parts of the window, or of each stage whose load stays the same, and the
shares of failures. `steadiness` has the tests.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

from astrometer.api.metric_table import BY_NAME, EXCHANGE_TIMES
from astrometer.measure.slo.validity import Cause, CauseKind
from astrometer.measure.steadiness import shift, trend, warm_up
from astrometer.measure.tally.exchange_stats import Stats
from astrometer.measure.tally.timeline import Steps
from astrometer.units import format_duration

LEAST_PARTS, MOST_PARTS = 24, 60
LEAST_SAMPLES = 20  # half of the parts have so many: a median needs them
LEAST_CHANGE = 0.10  # from begin to end, as a share: less matters to nobody
LEAST_FAILED = 0.05  # of a share of failures
BY_CHANCE = 0.01  # of steady runs are called drifting, with all tests together
FAILED = "failed"
METRICS = ("ttft", *EXCHANGE_TIMES, FAILED)


class DriftKind(StrEnum):
    TREND = "trend"
    SHIFT = "shift"


class LoadWindow(NamedTuple):
    """A part of the run under one load, in seconds since its start. `stage`: its name, where it is one."""

    start_s: float
    end_s: float
    stage: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """`before` and `after`: seconds, or a share of failures; of a trend at both ends of the window.

    `per_minute`: of a trend, the change in a minute as a share of `before`; of failures the share itself.
    `at_s`: of a shift, since the run's start. `chance`: that a steady run looks like that.
    """

    metric: str
    kind: DriftKind
    before: float
    after: float
    per_minute: float | None
    at_s: float | None
    chance: float
    stage: str | None

    @property
    def sentence(self) -> str:
        """`TTFT rose 3.1 % a minute, from 0.82 s to 1.10 s`."""
        title = "the share of failures" if self.metric == FAILED else BY_NAME[self.metric].title
        verb = "rose" if self.after > self.before else "fell"
        ends = f"from {self._shown(self.before)} to {self._shown(self.after)}"
        if self.kind is DriftKind.TREND and self.per_minute is not None:
            return f"{title} {verb} {abs(self.per_minute):.1%} a minute, {ends}".replace("%", " %")
        minutes, seconds = divmod(int(self.at_s or 0.0), 60)
        return f"{title} {verb} {ends} at {minutes}:{seconds:02d} of the run"

    def _shown(self, value: float) -> str:
        return f"{value * 100:.1f} %" if self.metric == FAILED else format_duration(value)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "kind": self.kind.value, "sentence": self.sentence}


@dataclass(frozen=True, slots=True, kw_only=True)
class Steadiness:
    """`tested`: of what there was enough. `parts`, `part_s`: of the window, as the last test had them.

    `steady_from_s`: of a run that drifts under one load, when it was steady, if it ever was.
    """

    tested: tuple[str, ...] = ()
    parts: int = 0
    part_s: float | None = None
    drifts: tuple[Drift, ...] = ()
    steady_from_s: float | None = None

    def causes(self) -> list[Cause]:
        return [
            Cause(
                kind=CauseKind.DRIFTING,
                value=drift.per_minute if drift.per_minute is not None else drift.after - drift.before,
                at_s=drift.at_s,
                stage=drift.stage,
                detail=drift.sentence,
            )
            for drift in self.drifts
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "tested": list(self.tested),
            "parts": self.parts,
            "part_s": self.part_s,
            "steady_from_s": self.steady_from_s,
            "drifts": [drift.to_json() for drift in self.drifts],
        }


class EqualParts(NamedTuple):
    """A metric in equal parts of a window, as far as they are whole."""

    metric: str
    window: LoadWindow
    start_s: float
    part_s: float
    values: list[float]


def look_for_drift(timeline: Steps[Stats], windows: Sequence[LoadWindow]) -> Steadiness:
    """Each window on its own; the chance of a false alarm is that of all together."""
    steps = list(timeline.items())
    series = [found for window in windows for found in series_of(steps, timeline.step_s, window)]
    chance = BY_CHANCE / max(1, 2 * len(series))
    drifts = [drift for one in series if (drift := _drift_of(one, chance)) is not None]
    last = series[-1] if series else None
    return Steadiness(
        tested=tuple(dict.fromkeys(one.metric for one in series)),
        parts=0 if last is None else len(last.values),
        part_s=None if last is None else last.part_s,
        drifts=tuple(drifts),
        steady_from_s=_steady_from_s(series, chance) if drifts and len(windows) == 1 else None,
    )


def _steady_from_s(series: Sequence[EqualParts], chance: float) -> float | None:
    """When the warm-up of all metrics was over; None when one of them drifts also after it."""
    found = 0.0
    for one in series:
        left_out = warm_up(one.values)
        if left_out is None or _drift_of(one._replace(values=one.values[left_out:]), chance) is not None:
            return None
        found = max(found, one.start_s + left_out * one.part_s)
    return found


def series_of(steps: Sequence[tuple[int, Stats]], step_s: int, window: LoadWindow) -> Iterator[EqualParts]:
    """Of each metric with enough samples. Only steps that are whole count."""
    inside = [(at, stats) for at, stats in steps if window.start_s <= at and at + step_s <= window.end_s]
    if len(inside) < LEAST_PARTS:
        return
    for metric in METRICS:
        for width in range(-(-len(inside) // MOST_PARTS), len(inside) // LEAST_PARTS + 1):
            parts = _parts(inside, width, metric)
            if sorted(n for n, _ in parts)[len(parts) // 2] >= LEAST_SAMPLES:
                values = [value for n, value in parts if n and value is not None]
                if len(values) == len(parts):
                    yield EqualParts(metric, window, inside[0][0], width * step_s, values)
                break


def _parts(steps: Sequence[tuple[int, Stats]], width: int, metric: str) -> list[tuple[int, float | None]]:
    """`width` steps together: how many samples, and their median or the share that failed."""
    names = () if metric == FAILED else (metric,)
    found: list[tuple[int, float | None]] = []
    for first in range(0, len(steps) - width + 1, width):
        whole = Stats()
        for _, stats in steps[first : first + width]:
            whole.merge(stats, only=names)
        if metric == FAILED:
            ended = whole.outcomes.total()
            found.append((ended, 1 - whole.outcomes["ok"] / ended if ended else None))
        else:
            samples = whole.ok.get(metric)
            found.append((0, None) if samples is None else (samples.n, samples.percentile(50)))
    return found


def _drift_of(series: EqualParts, chance: float) -> Drift | None:
    """The trend or the shift, whichever is nearer to the series; None when neither is there."""
    values = series.values
    line, level = trend(values), shift(values)
    straight = [line.begin + line.slope * place for place in range(len(values))]
    stepped = [level.before if place < level.at else level.after for place in range(len(values))]
    of_failures = series.metric == FAILED
    matters = _matters_of_failures if of_failures else _matters
    drift = partial(Drift, metric=series.metric, stage=series.window.stage)
    found: list[tuple[float, Drift]] = []
    if line.chance < chance and matters(straight[0], straight[-1]):
        a_minute = line.slope * 60 / series.part_s / (1 if of_failures else line.begin)
        trended = drift(
            kind=DriftKind.TREND, before=straight[0], after=straight[-1], per_minute=a_minute, at_s=None,
            chance=line.chance,
        )  # fmt: skip
        found.append((_distance(values, straight), trended))
    if level.chance < chance and matters(level.before, level.after):
        at_s = series.start_s + level.at * series.part_s
        shifted = drift(
            kind=DriftKind.SHIFT, before=level.before, after=level.after, per_minute=None, at_s=at_s,
            chance=level.chance,
        )  # fmt: skip
        found.append((_distance(values, stepped), shifted))
    return min(found, key=lambda pair: pair[0])[1] if found else None


def _distance(values: Sequence[float], others: Sequence[float]) -> float:
    return sum(abs(value - other) for value, other in zip(values, others, strict=True))


def _matters(before: float, after: float) -> bool:
    return before > 0 and abs(after - before) >= LEAST_CHANGE * before


def _matters_of_failures(before: float, after: float) -> bool:
    return abs(after - before) >= LEAST_FAILED
