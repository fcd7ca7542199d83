"""A merged tally and what is known of the run -> `results.json`, and back. The interface to everything else.

Whoever reads a results file needs nothing besides: histograms are inside, so that every percentile can be
computed again.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from astrometer.measure.delivery import Delivery, Observed
from astrometer.measure.histogram import Histogram
from astrometer.measure.objectives import METRICS, ObjectiveResult, Verdict, evaluate_all
from astrometer.measure.objectives import Objective as Objective  # noqa: PLC0414 (re-exported: part of a run)
from astrometer.measure.tally import TIMELINE_STEP_S, Cell, Tally
from astrometer.measure.windows import Window

SCHEMA_VERSION = 1
FILE_NAME = "results.json"


class ResultsError(ValueError):
    """A results file that cannot be read, with the file and the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorHealth:
    """How well the load generator itself did: the worst of its processes. CPU is a share of one core."""

    processes: int = 1
    loop_lag_p99_s: float | None = None
    loop_lag_max_s: float | None = None
    cpu_max: float | None = None
    schedule_lag_p99_s: float | None = None
    lost_workers: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenArrivals:
    """The arrivals of an open model in the whole run: how many there should have been, and were."""

    process: str
    seed: int
    rate_per_s: float
    expected: float
    intended: int

    @property
    def fell_short(self) -> bool:
        """More than 5 % too few, and more than chance explains (3 standard deviations of a Poisson count)."""
        return self.intended < 0.95 * self.expected - 3 * math.sqrt(self.expected)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadStage:
    """A stage of the load's profile, in seconds since the run's start.

    `peak`: its most users, or arrivals per second when `is_rate`.
    """

    name: str
    start_s: float
    end_s: float
    peak: float
    is_rate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What is known of a run besides its measurements. `start` is wall-clock epoch seconds."""

    scenario: str
    url: str
    start: float
    duration_s: float  # until no new exchange began: ramp, warm-up and window, without the drain
    excluded_s: float = 0.0  # ramp and warm-up
    version: str | None = None
    users: int | None = None
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    objectives: Sequence[Objective] = ()
    problems: Sequence[str] = ()  # whatever else makes the run INVALID
    arrivals: OpenArrivals | None = None  # None: closed model
    generator: GeneratorHealth = field(default_factory=GeneratorHealth)
    profile: str | None = None  # the shape of the load, as text
    stages: Sequence[LoadStage] = ()  # those of the profile, in the order of the tally's


# The generator was the bottleneck above these (measurement.md of the docs: "When a run is INVALID").
MAX_LOOP_LAG_S = 0.020
MAX_SCHEDULE_LAG_S = 0.050
MAX_CPU = 0.90


def invalid_causes(generator: GeneratorHealth, tally: Tally) -> list[str]:
    """Return why the run cannot be trusted; empty when it can."""
    causes = []
    if generator.loop_lag_p99_s is not None and generator.loop_lag_p99_s > MAX_LOOP_LAG_S:
        causes.append(
            f"event-loop lag p99 {generator.loop_lag_p99_s * 1e3:.0f} ms "
            f"is above {MAX_LOOP_LAG_S * 1e3:.0f} ms"
        )
    if generator.schedule_lag_p99_s is not None and generator.schedule_lag_p99_s > MAX_SCHEDULE_LAG_S:
        causes.append(
            f"schedule lag p99 {generator.schedule_lag_p99_s * 1e3:.0f} ms "
            f"is above {MAX_SCHEDULE_LAG_S * 1e3:.0f} ms"
        )
    if generator.cpu_max is not None and generator.cpu_max > MAX_CPU:
        causes.append(f"CPU of a load process {generator.cpu_max:.0%} is above {MAX_CPU:.0%}")
    if generator.lost_workers:
        causes.append(f"{generator.lost_workers} worker(s) lost, and what they had not yet reported")
    if not tally.cells:
        causes.append("nothing was measured: no exchange began in the window")
    if tally.in_flight:
        causes.append(f"{tally.in_flight} exchange(s) started and never accounted for")
    return causes


def build(tally: Tally, info: RunInfo, im_delivery: Observed | None = None) -> dict[str, Any]:
    """Return the whole content of `results.json`. `im_delivery` None: nobody watched IM pushes arrive."""
    total = tally.total()
    window = Window(start=info.start, excluded_s=info.excluded_s)
    window_s = window.length_s(info.duration_s)
    judged = evaluate_all(info.objectives, total)
    causes = [*invalid_causes(info.generator, tally), *info.problems]
    if im_delivery is not None and im_delivery.forgotten:
        causes.append(f"the IM sink forgot {im_delivery.forgotten} message(s) before they were read")
    if info.arrivals is not None and info.arrivals.fell_short:
        causes.append(
            f"{info.arrivals.intended} arrivals instead of about {info.arrivals.expected:.0f}: "
            "the requested rate was not reached"
        )
    causes += [
        f"objective {item.objective.text!r} has too few samples (n={item.n})"
        for item in judged
        if item.verdict is Verdict.NO_DATA
    ]
    keys = sorted({*tally.cells, *tally.excluded})
    scenarios = sorted({key.scenario for key in keys})
    nothing = Cell()
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": _verdict(judged, causes),
        "causes": causes,
        "scenario": info.scenario,
        "target": {"url": info.url, "version": info.version},
        "window": {
            "start": datetime.fromtimestamp(window.opens, UTC).isoformat(),
            "duration_s": window_s,
            "excluded_s": info.excluded_s,
        },
        "users": info.users,
        "arrivals": asdict(info.arrivals) if info.arrivals else None,
        "command": list(info.command),
        "environment": dict(info.environment),
        **_cell(total, tally.total_excluded(), window_s),
        "objectives": [_objective(item) for item in judged],
        "generator": asdict(info.generator),
        "im_delivery": None if im_delivery is None else _delivery(im_delivery),
        "scenarios": {
            name: _cell(tally.total(name), tally.total_excluded(name), window_s) for name in scenarios
        },
        "operations": [
            {
                "scenario": key.scenario,
                "operation": key.operation,
                **_cell(tally.cells.get(key, nothing), tally.excluded.get(key, nothing), window_s),
            }
            for key in keys
        ],
        "profile": info.profile,
        "stages": [
            _stage(stage, tally.stages.get(number, nothing), info)
            for number, stage in enumerate(info.stages)
            if stage.start_s < info.duration_s
        ],
        "timeline": {
            "step_s": TIMELINE_STEP_S,
            "steps": [
                {"t_s": step - info.start, **_cell(tally.timeline[step], nothing, TIMELINE_STEP_S)}
                for step in sorted(tally.timeline)
            ],
        },
    }


def write(directory: Path, results: Mapping[str, Any]) -> Path:
    """Write `results.json` into `directory` (made if need be), whole or not at all; return its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / FILE_NAME
    partial = path.with_suffix(".json.part")
    partial.write_text(json.dumps(results, ensure_ascii=False, indent=1, allow_nan=False) + "\n", "utf-8")
    os.replace(partial, path)  # noqa: PTH105 (the atomic one, by its name)
    return path


def read(path: Path) -> dict[str, Any]:
    """Read a results file, or that of a directory. Raises ResultsError."""
    file = path / FILE_NAME if path.is_dir() else path
    try:
        results = json.loads(file.read_text("utf-8"))
    except OSError as exc:
        raise ResultsError(f"{file}: cannot be read ({exc.strerror})") from exc
    except ValueError as exc:
        raise ResultsError(f"{file}: is no JSON ({exc})") from exc
    version = results.get("schema_version") if isinstance(results, dict) else None
    if not isinstance(version, int):
        raise ResultsError(f"{file}: has no schema_version; is it a results file of astrometer?")
    if version > SCHEMA_VERSION:
        raise ResultsError(
            f"{file}: schema_version {version} is newer than this astrometer ({SCHEMA_VERSION})"
        )
    return results  # type: ignore[no-any-return]


def _verdict(judged: Sequence[ObjectiveResult], causes: Sequence[str]) -> str:
    if causes:
        return "INVALID"
    if not judged:
        return "NONE"
    return "PASS" if all(item.verdict is Verdict.PASS for item in judged) else "FAIL"


def _cell(cell: Cell, excluded: Cell, duration_s: float) -> dict[str, Any]:
    """`turns` accounts for everything; all else is of the window alone."""
    ended = cell.outcomes.total()
    return {
        "turns": {
            "started": cell.started + excluded.started,
            "outcomes": dict(sorted((cell.outcomes + excluded.outcomes).items())),
            "excluded": excluded.started,
        },
        "throughput_per_s": cell.outcomes["ok"] / duration_s if duration_s else None,
        "goodput": {
            "good": cell.good,
            "per_s": cell.good / duration_s if duration_s else None,
            "share": cell.good / ended if ended else None,
        },
        "tokens": dict(cell.tokens),
        "bytes": dict(cell.bytes),
        "metrics": {name: _summary(cell.ok[name]) for name in METRICS if name in cell.ok},
        "metrics_all_attempts": {
            name: _summary(cell.attempts(name)) for name in METRICS if cell.missed[name]
        },
        "metrics_failed": {name: _summary(cell.failed[name]) for name in METRICS if name in cell.failed},
    }


def _stage(stage: LoadStage, cell: Cell, info: RunInfo) -> dict[str, Any]:
    """Its rates divide by the part of it that was in the window."""
    end_s = min(stage.end_s, info.duration_s)
    return {
        "name": stage.name,
        "start_s": stage.start_s,
        "end_s": end_s,
        "users": None if stage.is_rate else round(stage.peak),
        "rate_per_s": stage.peak if stage.is_rate else None,
        **_cell(cell, Cell(), max(0.0, end_s - max(stage.start_s, info.excluded_s))),
    }


def _delivery(observed: Observed) -> dict[str, Any]:
    report = observed.report
    total, worst = report.total, report.worst_burst
    refused = observed.latency_refused is not None
    return {
        "sent": total.sent,
        "accepted": total.accepted,
        "delivered": total.delivered,
        "lost": total.lost,
        "delivered_though_failed": total.delivered_though_failed,
        "duplicates": total.duplicates,
        "reordered": total.reordered,
        "unexpected": report.unexpected,
        "untracked": observed.untracked,
        "latency": None if refused else _summary(total.latency),
        "latency_refused": observed.latency_refused,
        "bursts": {
            "n": len(report.bursts),
            "lossy": sum(burst.lost > 0 for burst in report.bursts.values()),
            "worst": None if worst is None else _burst(worst, None if refused else observed.t_start),
        },
    }


def _burst(burst: Delivery, t_start: float | None) -> dict[str, Any]:
    """`t_start` None: the clocks cannot be compared."""
    return {
        "t_s": None if t_start is None or burst.t_first is None else burst.t_first - t_start,
        "sent": burst.sent,
        "delivered": burst.delivered,
        "lost": burst.lost,
        "duplicates": burst.duplicates,
        "reordered": burst.reordered,
        "latency_max_s": None if t_start is None else burst.latency.max,
    }


def _summary(histogram: Histogram) -> dict[str, Any]:
    """Percentiles in seconds; null where withheld. A percentile among failures is the text "inf"."""
    return {
        "n": histogram.n,
        **{f"p{percent}": _finite(histogram.quantile_or_none(percent)) for percent in (50, 90, 95, 99)},
        "max": _finite(histogram.max),
        "histogram": histogram.encode(),
    }


def _finite(value: float | None) -> float | str | None:
    return "inf" if value == math.inf else value


def _objective(item: ObjectiveResult) -> dict[str, Any]:
    return {
        "text": item.objective.text,
        "verdict": item.verdict.value,
        "value": _finite(item.value),
        "limit": item.objective.limit,
        "n": item.n,
    }
