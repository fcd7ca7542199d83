"""`astrometer calibrate`: how many streams a process of this machine measures within 5 ms."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from astrometer import exit_codes
from astrometer.cli.options import duration_option
from astrometer.cli.terminal import print_problem, print_rich

if TYPE_CHECKING:
    from rich.table import Table

    from astrometer.measure.accuracy import CalibrationStep, ErrorSummary

STREAM_S = 4.0  # how long one stream of the golden server lasts, at most
TTFT_S = 0.1


def _streams(_ctx: click.Context, _param: click.Parameter, value: str) -> list[int]:
    try:
        numbers = sorted({int(part) for part in value.split(",")})
    except ValueError:
        numbers = []
    if not numbers or numbers[0] < 1:
        raise click.BadParameter(f"{value!r} is not a list of numbers of streams (write 50,200,400)")
    return numbers


@click.command(short_help="Find how exactly this machine measures, and how many streams.")
@click.option(
    "--streams",
    default="50,200,400,1000",
    show_default=True,
    metavar="N,N",
    callback=_streams,
    help="Concurrent streams of each step.",
)
@duration_option("--gap", default="20ms", help="Time between events of a stream.")
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True, help="Load processes.")
@duration_option("--duration", default="10s", help="Time measured in each step.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def command(streams: list[int], gap: float, processes: int, duration: float, as_json: bool) -> None:
    """Measure astrometer's own timing error, against a server that knows when it sent what.

    The server ("golden") runs in a process of its own, on a core of its own where the system allows that.
    Errors are measured minus true, over everything that happened in the steady part of a step; a step is
    trustworthy when TTFT, chunk gaps and every single event are within 5 ms at p99 and the server kept its
    schedule. What this machine can do is kept, and `astrometer load` warns when it is asked for more.

    Exit codes: 0, or 3 when no step could be trusted.
    """
    from astrometer.load.calibrate import calibration_limit
    from astrometer.load.calibrate.calibration_run import StepFailed
    from astrometer.measure.accuracy import most_streams, too_many

    steps = []
    for number in streams:
        click.echo(f"{number} streams, {number / gap:.0f} events/s ...", err=True)
        try:
            steps.append(measure_step(number, gap_s=gap, duration_s=duration, processes=processes))
        except StepFailed as exc:
            click.echo(f"Error: {exc}", err=True)
    best, is_limit = most_streams(steps), too_many(steps)
    if best is None and steps:  # not when nothing was measured at all
        calibration_limit.forget()
    elif best is not None:
        found = calibration_limit.Allowance(streams=best, gap_s=gap)
        if is_limit or found.widens(calibration_limit.kept()):
            try:
                found.keep()
            except OSError as exc:
                print_problem(
                    f"{exc.filename}: the calibration cannot be kept ({exc.strerror}); it is only shown"
                )
    if as_json:
        shown = [as_dict(step) for step in steps]
        print_rich(json.dumps({"steps": shown, "max_streams_within_5ms": best, "is_limit": is_limit}))
    else:
        print_rich(table(steps))
        for step in steps:
            if (problem := step.problem()) is not None:
                click.echo(f"{step.streams} streams are not counted: {problem}.")
        click.echo(sentence(best, streams, is_limit=is_limit))
    raise SystemExit(exit_codes.PASS if best is not None else exit_codes.INVALID)


def measure_step(
    streams: int, *, gap_s: float, duration_s: float, processes: int = 1, handicap_s: float = 0.0
) -> "CalibrationStep":
    """One step against a golden server of its own; `handicap_s` makes that a bad one. Raises StepFailed."""
    from astrometer.load.calibrate.calibration_run import StepFailed, StepPlan, run_step
    from astrometer.targets.golden.golden_process import GoldenError, golden
    from astrometer.targets.golden.golden_server import GoldenSchedule

    # Short enough that each stream begins at least twice in what is measured.
    events = max(5, round(min(STREAM_S, duration_s / 2) / gap_s))
    schedule = GoldenSchedule(ttft_s=TTFT_S, gap_s=gap_s, events=events)
    server_cpus, load_cpus = split_cpus(_cpus())
    plan = StepPlan(
        streams=streams,
        gap_s=gap_s,
        duration_s=duration_s,
        stream_s=schedule.length_s,
        processes=processes,
        cpus=load_cpus,
    )
    try:
        with golden(schedule, cpus=server_cpus, handicap_s=handicap_s) as url:
            return run_step(plan, url)
    except GoldenError as exc:
        raise StepFailed(str(exc)) from exc


def split_cpus(cpus: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    """The server's core and those of the load processes; nothing is pinned where there is but one."""
    return (cpus[-1:], cpus[:-1]) if len(cpus) > 1 else ((), ())


def _cpus() -> list[int]:
    """The cores that this process may use; empty where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def as_dict(step: "CalibrationStep") -> dict[str, Any]:
    """A step for programs; times in seconds, null where there were no samples."""

    def errors(summary: "ErrorSummary") -> dict[str, float | int | None]:
        return {"p50": summary.p50, "p99": summary.p99, "max": summary.max, "n": summary.n}

    return {
        "streams": step.streams,
        "processes": step.processes,
        "gap_s": step.gap_s,
        "duration_s": step.duration_s,
        "events_per_s": step.events_per_s,
        "ttft_error_s": errors(step.ttft),
        "gap_error_s": errors(step.gap),
        "event_delay_s": errors(step.delay),
        "cpu_us_per_event": step.cpu_us_per_event,
        "cpu_max": step.cpu_max,
        "loop_lag_p99_s": step.loop_lag_p99_s,
        "server": asdict(step.server),
        "trustworthy": step.trustworthy,
        "problem": step.problem(),
    }


def table(steps: Sequence["CalibrationStep"]) -> "Table":
    """Errors in milliseconds."""
    from rich.table import Table

    shown = Table(title="Error of what is measured: p50 / p99 / max, in ms")
    for heading in (
        "streams",
        "events/s",
        "TTFT",
        "chunk gap",
        "CPU us/event",
        "loop lag p99",
        "trustworthy",
    ):
        shown.add_column(heading, justify="right", no_wrap=heading in ("TTFT", "chunk gap"))
    for step in steps:
        cpu_us, lag_s = step.cpu_us_per_event, step.loop_lag_p99_s
        shown.add_row(
            f"{step.streams:,}",
            f"{step.events_per_s:,.0f}",
            _errors(step.ttft),
            _errors(step.gap),
            "–" if cpu_us is None else f"{cpu_us:.0f}",
            "–" if lag_s is None else f"{lag_s * 1e3:.1f} ms",
            "yes" if step.trustworthy else "no" if step.problem() is None else "not counted",
        )
    return shown


def _errors(summary: "ErrorSummary") -> str:
    numbers = (summary.p50, summary.p99, summary.max)
    return "/".join("–" if number is None else f"{number * 1e3:.2f}" for number in numbers)


def sentence(best: int | None, streams: Sequence[int], *, is_limit: bool) -> str:
    """The one thing to remember. `is_limit`: more streams were measured too badly."""
    from astrometer.measure.accuracy import workers_for

    if best is None:
        advice = ": try fewer --streams, a longer --gap, or a machine that does less else" if is_limit else ""
        return f"No step could be trusted{advice}."
    if not is_limit:
        return f"At least {best:,} concurrent streams per process within 5 ms at p99; no more were measured."
    most = max(streams)
    return (
        f"Up to {best:,} concurrent streams per process within 5 ms at p99; "
        f"for {most:,} streams you need {workers_for(most, best)} workers."
    )
