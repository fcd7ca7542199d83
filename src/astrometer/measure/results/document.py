"""A merged tally and what is known of the run -> `results.json`, and back. The interface to everything else.

Whoever reads a results file needs nothing besides: histograms are inside, so that every percentile can be
computed again.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from astrometer.input_files import read_bounded
from astrometer.measure.capacity.capacity_result import CapacityRun, conclude_search, describe
from astrometer.measure.delivery import Observed
from astrometer.measure.results.other_requests import other_requests_json
from astrometer.measure.results.result_parts import (
    delivery_json,
    messenger_json,
    objective_json,
    provider_limit_json,
    server_json,
    uploads_json,
)
from astrometer.measure.results.run_info import BusiestHourLoad, RunInfo
from astrometer.measure.slo.cause_sentences import cause_json
from astrometer.measure.slo.drift import LoadWindow, look_for_drift
from astrometer.measure.slo.run_verdict import conclude, judge_stage
from astrometer.measure.slo.stages import LONG_ENOUGH_S, LoadStage
from astrometer.measure.slo.validity import (
    Cause,
    GeneratorHealth,
    measurement_errors,
    run_causes,
    server_causes,
    stage_causes,
)
from astrometer.measure.tally.exchange_stats import Stats, stats_json
from astrometer.measure.tally.tally import Tally
from astrometer.measure.tally.windows import Window
from astrometer.output_files import json_text, write_whole
from astrometer.outside_text import read_json
from astrometer.user_error import UserError

FILE_NAME = "results.json"
MOST_BYTES = 64_000_000  # a run of many hours with a hundred scenarios has 5 MB
SCHEMA_VERSION = 2
# What code that reads a file stumbles over when the file does not follow the schema.
DAMAGE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)


class ResultsError(UserError):
    """A results file that cannot be read, with the file and the reason."""


def build(tally: Tally, info: RunInfo, im_delivery: Observed | None = None) -> dict[str, Any]:
    """Return the whole content of `results.json`. `im_delivery` None: nobody watched IM pushes arrive."""
    total = tally.total()
    window = Window(excluded_s=info.excluded_s)
    window_s = window.length_s(info.duration_s)
    # Requests of the locustfile's own are not kept by steps.
    others_s = window_s if info.warm_up is None else max(0.0, info.duration_s - info.warm_up.least_s)
    generator = info.generator
    if info.capacity is not None:
        # What else held it up is a matter of each window.
        generator = GeneratorHealth(
            clock=generator.clock, lost_workers=generator.lost_workers, lost_from_s=generator.lost_from_s
        )
    forgotten = 0 if im_delivery is None else im_delivery.forgotten
    causes = [
        *run_causes(generator, tally, info.arrivals, forgotten),
        *server_causes(info.server, info.objectives),
        *info.causes,
        *([] if info.warm_up is None else info.warm_up.causes()),
    ]
    trusted = not causes
    reached = [stage for stage in info.stages if stage.start_s < info.duration_s]
    by_chance = info.arrivals is not None and info.arrivals.by_chance
    kinds = info.arrivals.kinds if info.arrivals is not None else 1
    badly = [
        stage_causes(
            stage,
            tally.stages.get(number, Stats()),
            info.objectives,
            clock=generator.clock,
            by_chance=by_chance,
            kinds=kinds,
        )
        for number, stage in enumerate(reached)
    ]
    if trusted:
        causes += [
            replace(cause, stage=stage.name)
            for stage, found in zip(reached, badly, strict=True)
            if min(stage.end_s, info.duration_s) - stage.start_s >= LONG_ENOUGH_S
            for cause in found
        ]
    if info.capacity is not None:
        end = conclude_search(info.capacity, causes)
    else:
        end = conclude(
            tally,
            info.objectives,
            window_s,
            untrusted=causes,
            stop=info.stop,
            waived=info.waived,
            server=info.server,
        )
    steady = look_for_drift(tally.timeline, _steady_windows(info, reached))
    if steady.drifts and end.verdict in ("PASS", "NONE") and not info.drift_ok:
        end = replace(end, verdict="DRIFTING", causes=tuple(steady.causes()))
    keys = sorted({*tally.counted, *tally.excluded})
    scenarios = sorted({key.scenario for key in keys})
    nothing = Stats()
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": end.verdict,
        "causes": [cause_json(cause) for cause in end.causes],
        "stopped": None if info.stop is None else info.stop.to_json(),
        "scenario": info.scenario,
        "target": {
            "url": info.url,
            "version": info.version,
            "kind": info.kind,
            "tls_verified": info.tls_verified,
        },
        "window": {
            "start": datetime.fromtimestamp(info.start + info.excluded_s, UTC).isoformat(),
            "duration_s": window_s,
            "excluded_s": info.excluded_s,
            "warm_up": None if info.warm_up is None else info.warm_up.to_json(),
        },
        "users": info.users,
        "names": None if info.names is None else asdict(info.names),
        "arrivals": asdict(info.arrivals) if info.arrivals else None,
        "command": list(info.command),
        "environment": dict(info.environment),
        "stall_threshold_s": info.stall_threshold_s,
        **stats_json(total, tally.total_excluded(), window_s),
        "objectives": [objective_json(item) for item in end.objectives],
        "steadiness": steady.to_json(),
        "generator": {**asdict(info.generator), "think_time_lost": info.generator.think_time_lost},
        "im_delivery": None if im_delivery is None else delivery_json(im_delivery),
        "provider_limit": provider_limit_json(
            info.at_once, info.model_most, info.excluded_s, info.duration_s
        ),
        "messenger": messenger_json(total.facts, info.messenger),
        "server": server_json(info.server),
        "pulse": None if info.pulse is None else info.pulse.to_json(),
        "uploads": uploads_json(tally, window_s),
        "scenarios": {
            name: stats_json(tally.total(name), tally.total_excluded(name), window_s) for name in scenarios
        },
        "operations": [
            {
                "scenario": key.scenario,
                "operation": key.operation,
                **stats_json(tally.counted.get(key, nothing), tally.excluded.get(key, nothing), window_s),
            }
            for key in keys
        ],
        "other_requests": other_requests_json(info.other_requests, others_s),
        "records": info.records,
        "workload": None if info.workload is None else asdict(info.workload),
        "profile": info.profile,
        "stages": [
            _stage(stage, number, tally, info, causes=found, trusted=trusted and not found)
            for number, (stage, found) in enumerate(zip(reached, badly, strict=True))
        ],
        "capacity": None if info.capacity is None else _capacity(info.capacity, info.workload),
        "timeline": {
            "step_s": tally.timeline.step_s,
            "steps": [
                {"t_s": step, **stats_json(stats, nothing, tally.timeline.step_s)}
                for step, stats in tally.timeline.items()
            ],
        },
    }


def _steady_windows(info: RunInfo, reached: Sequence[LoadStage]) -> list[LoadWindow]:
    """Where the load was the same throughout. The windows of a search are too short to tell."""
    if info.capacity is not None:
        return []
    if not reached:
        return [LoadWindow(info.excluded_s, info.duration_s)]
    return [
        LoadWindow(max(stage.start_s, info.excluded_s), min(stage.end_s, info.duration_s), stage.name)
        for stage in reached
        if stage.is_flat
    ]


def write(directory: Path, results: Mapping[str, Any]) -> Path:
    """Write `results.json` into `directory` (made if need be), whole or not at all; return its path."""
    path = directory / FILE_NAME
    write_whole(path, json_text(results))
    return path


def read_piped(piped_results: bytes) -> dict[str, Any]:
    """The last of the results that a load process piped to us, a line of JSON each. Raises ResultsError."""
    try:
        found: dict[str, Any] = json.loads(piped_results.splitlines()[-1])
    except (ValueError, IndexError) as exc:
        raise ResultsError(f"what the load process told is not a result ({exc})") from exc
    return found


def read_of_run(directory: Path, piped_results: bytes) -> dict[str, Any]:
    """What a run's process piped where it could not write its results; else the file. Raises ResultsError."""
    return read_piped(piped_results) if piped_results else read(directory)


def read(path: Path) -> dict[str, Any]:
    """Read a results file, or that of a directory, of the current schema. Raises ResultsError."""
    file = path / FILE_NAME if path.is_dir() else path
    try:
        results: dict[str, Any] = read_json(read_bounded(file, MOST_BYTES))
    except OSError as exc:
        raise ResultsError(f"{file}: cannot be read ({exc.strerror})") from exc
    except ValueError as exc:
        raise ResultsError(f"{file}: not valid JSON ({exc})") from exc
    version = results.get("schema_version") if isinstance(results, dict) else None
    if not isinstance(version, int):
        raise ResultsError(f"{file}: has no schema_version; is it a results file of astrometer?")
    if version != SCHEMA_VERSION:
        age = "newer" if version > SCHEMA_VERSION else "older"
        raise ResultsError(
            f"{file}: schema_version {version} is {age} than this astrometer ({SCHEMA_VERSION})"
        )
    return results


@contextmanager
def following_schema(file: Path) -> Iterator[None]:
    """What a hand-made or damaged file (JSON and a version, but not the schema) breaks -> ResultsError."""
    try:
        yield
    except DAMAGE as exc:
        reason = f"no field {exc}" if isinstance(exc, KeyError) else str(exc)
        raise ResultsError(f"{file}: does not follow the schema of results.json ({reason})") from exc


def _capacity(run: CapacityRun, workload: BusiestHourLoad | None) -> dict[str, Any]:
    """`times_busiest_hour`: the answer in the user's own traffic; None: no workload, or no answer."""
    searched = describe(run, stats_json)
    held, there = searched["estimate"] or searched["highest_passing"], searched["at_highest_passing"]
    times = None
    if workload is not None and held:
        times = workload.times(held, is_rate=run.settings.is_rate)
        if not run.settings.is_rate and workload.share == 1 and there is not None:
            # How much users ask depends on how long they wait for answers here.
            asked_per_s = there["turns"]["started"] / there["duration_s"]
            times = asked_per_s / workload.turns_per_s * held / searched["highest_passing"]
    return {**searched, "times_busiest_hour": times}


def _stage(
    stage: LoadStage, number: int, tally: Tally, info: RunInfo, *, causes: Sequence[Cause], trusted: bool
) -> dict[str, Any]:
    """Its rates divide by the part of it that was in the window."""
    end_s = min(stage.end_s, info.duration_s)
    length_s = max(0.0, end_s - max(stage.start_s, info.excluded_s))
    judged = judge_stage(info.objectives, tally, number, length_s, trusted=trusted)
    return {
        "name": stage.name,
        "start_s": stage.start_s,
        "end_s": end_s,
        "users": None if stage.is_rate else round(stage.peak),
        "rate_per_s": stage.peak if stage.is_rate else None,
        "loop_lag_p99_s": stage.loop_lag_p99_s,
        "arrivals_due": stage.due,
        "causes": [cause_json(cause) for cause in (*causes, *measurement_errors(judged))],
        "objectives": [objective_json(item) for item in judged],
        **stats_json(tally.stages.get(number, Stats()), Stats(), length_s),
    }
