"""A run that has ended -> the whole content of `results.json`. In the process that leads it."""

import os
import platform
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import locust

from astrometer import __version__
from astrometer.load.options import SCOPE_VARIABLES
from astrometer.load.run.health import worst, worst_stage_lag
from astrometer.load.run.role import ProcessRole
from astrometer.load.run.run import Run
from astrometer.load.schedule.open_model import LEAD_S
from astrometer.load.workload.replay import workload_share
from astrometer.masking import mask_command
from astrometer.measure.capacity.capacity_result import CapacityRun
from astrometer.measure.results import document
from astrometer.measure.results.run_info import BusiestHourLoad, RunInfo
from astrometer.measure.slo.drift import LoadWindow
from astrometer.measure.slo.found_warm_up import FoundWarmUp, find_warm_up
from astrometer.measure.slo.stages import LoadStage
from astrometer.measure.slo.validity import Cause, OpenArrivals, schedule_lag_limit_s


def results(run: Run, environment: Any) -> dict[str, Any]:
    searched = run.search() if run.search is not None else None
    run.intended += run.take_intended()
    warm_up = _find_warm_up(run)
    excluded_s = run.settings.warmup_s if warm_up is None else warm_up.excluded_s
    info = RunInfo(
        scenario=_scenario(environment),
        url=run.host,
        start=run.clock.started_at,
        duration_s=run.clock.elapsed_s,
        excluded_s=excluded_s,
        warm_up=warm_up,
        arrivals=_arrivals(run, searched),
        version=run.settings.version,
        kind=run.settings.kind,
        tls_verified=_tls_verified(run),
        users=_users(run, searched),
        command=mask_command(["locust", *sys.argv[1:]], _secrets(run)),
        environment={
            "astrometer": __version__,
            "locust": locust.__version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
        },
        objectives=run.settings.objectives,
        waived=run.settings.slo.waived,
        drift_ok=run.settings.drift_ok,
        causes=[*run.causes, *run.delivery.causes, *_missing_users(run, environment)],
        stop=run.stop,
        capacity=searched,
        names=run.names.all(),
        stall_threshold_s=run.settings.stall_threshold_s,
        messenger=run.messenger_counts if run.settings.messenger else None,
        at_once=run.recorder.at_once,
        model_most=None if run.model is None else run.model.most,
        server=None if run.server is None else run.server.usage(excluded_s),
        pulse=None if run.pulse is None else run.pulse.pulse(),
        other_requests=run.others.requests.rows,
        records=None if run.record_file is None else run.record_file.to_json(run.settings.out),
        workload=_workload(run, environment, searched),
        profile=str(run.profile) if run.profile else None,
        stages=_stages(run),
        generator=replace(
            worst(
                run.processes.values(),
                run.tally,
                run.lost_workers,
                schedule_lag_limit_s=schedule_lag_limit_s(run.settings.objectives),
                lost_from_s=run.lost_from_s,
            ),
            # Locust's own count, of all workers.
            user_errors=sum(row["count"] for row in environment.runner.exceptions.values()),
        ),
    )
    return document.build(run.tally, info, run.delivery.observed)


def _find_warm_up(run: Run) -> FoundWarmUp | None:
    """With `--warmup auto`: the tally's window begins after it from now on. None: it was given."""
    if not run.settings.warmup.is_found:
        return None
    found = find_warm_up(run.tally.timeline, LoadWindow(run.settings.warmup_s, run.clock.elapsed_s))
    if found.excluded_s > found.least_s:
        run.tally.begin_window_at(found.excluded_s)
    return found


def _scenario(environment: Any) -> str:
    stem = Path(environment.parsed_locustfiles[0]).stem if environment.parsed_locustfiles else ""
    return stem or Path(environment.locustfile or "locustfile").stem


def _secrets(run: Run) -> list[str]:
    """A master has no keys of its own, but its environment holds what its workers got."""
    named = [os.environ.get(name, "").strip() for name in ("ASTRBOT_API_KEY", *SCOPE_VARIABLES.values())]
    return [*(key.reveal() for key in run.keys.values()), *named]


def _users(run: Run, searched: CapacityRun | None) -> int:
    """As many as were asked for; of a profile its peak, of a search the most that it tried."""
    if searched is not None:
        return max((step.level for step in searched.steps), default=0)
    if run.profile is None:
        return run.requested.peak
    return round(run.profile.peak / (run.settings.rate_unit if run.profile.is_rate else 1.0))


def _workload(run: Run, environment: Any, searched: CapacityRun | None) -> BusiestHourLoad | None:
    if run.workload is None:
        return None
    hour = BusiestHourLoad(
        turns_per_s=run.workload.busiest_hour.turns_per_s,
        conversations_per_s=run.workload.conversations_per_s,
        users=run.workload.users,
        people=run.workload.busiest_hour.people,
        share=workload_share(environment.user_classes),
    )
    arrivals = _arrivals(run, searched)
    if searched is not None:
        return hour
    load = _users(run, searched) if arrivals is None else arrivals.rate_per_s
    return replace(hour, scale=hour.times(load, is_rate=arrivals is not None))


def _tls_verified(run: Run) -> bool | None:
    """None: no TLS."""
    return not run.settings.insecure_skip_verify if run.host.startswith("https:") else None


def _missing_users(run: Run, environment: Any) -> list[Cause]:
    """Of a closed model. Whoever shapes the load is not told how many there are at once."""
    if run.settings.rate_unit > 0 or environment.shape_class is not None:
        return []
    cause = run.requested.shortfall(run.names.all_users)
    return [] if cause is None else [cause]


def _arrivals(run: Run, searched: CapacityRun | None) -> OpenArrivals | None:
    """Of an open model: how many there should have been, and were."""
    unit = run.settings.rate_unit
    if unit <= 0:
        return None
    if run.profile is not None:
        per_level = _per_level(run)
        rate, expected = run.profile.peak * per_level, run.profile.area(_dispatched_s(run)) * per_level
    elif searched is not None:  # every window of a search was held against its own rate already
        rate = max((searched.settings.load(step.level) for step in searched.steps), default=0.0)
        expected = float(run.intended)
    else:
        rate, expected = run.requested.peak * unit, run.requested.user_seconds(_dispatched_s(run)) * unit
    return OpenArrivals(
        process=run.settings.arrivals.value,
        seed=run.settings.arrival_seed,
        rate_per_s=rate,
        expected=expected,
        intended=run.intended,
        kinds=run.kinds,
    )


def _per_level(run: Run) -> float:
    """Arrivals per second at the level 1 of the profile; 0 in a closed model."""
    return 1.0 if run.profile is not None and run.profile.is_rate else run.settings.rate_unit


def _lead_s(run: Run) -> float:
    """So much later than the master asks for them, workers begin their arrivals."""
    return LEAD_S if run.role is ProcessRole.MASTER else 0.0


def _dispatched_s(run: Run) -> float:
    return run.clock.elapsed_s - _lead_s(run)


def _stages(run: Run) -> list[LoadStage]:
    """Those of the profile, and what was due and how late the processes were in each."""
    profile = run.profile
    if profile is None:
        return []
    due = _due_between(run, profile.area)
    return [
        LoadStage(
            name=stage.name,
            start_s=stage.start_s,
            end_s=stage.end_s,
            peak=stage.peak,
            is_rate=profile.is_rate,
            is_flat=stage.is_flat,
            due=due(stage.start_s, stage.end_s),
            loop_lag_p99_s=worst_stage_lag(run.processes.values(), number),
        )
        for number, stage in enumerate(profile.stages)
    ]


def _due_between(run: Run, area: Callable[[float], float]) -> Callable[[float, float], float | None]:
    """The arrivals of the measured part between two times; None in a closed model."""
    per_level, lead_s = _per_level(run), _lead_s(run)

    def due(start_s: float, end_s: float) -> float | None:
        if per_level <= 0:
            return None
        first_s = max(start_s, run.settings.warmup_s) - lead_s
        last_s = min(end_s, run.clock.elapsed_s) - lead_s
        return max(0.0, area(last_s) - area(first_s)) * per_level

    return due
