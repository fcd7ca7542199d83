"""`astrometer calibrate`: how exact the times of this machine are, and whether their bounds hold."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from astrometer import exit_codes
from astrometer.cli.shared.option_types import duration_option
from astrometer.cli.shared.terminal import print_rich
from astrometer.report.formatting import share
from astrometer.units import format_duration

if TYPE_CHECKING:
    from rich.table import Table

    from astrometer.measure.accuracy import CalibrationStep, ErrorSummary, MetricAccuracy

STREAM_S = 4.0  # how long one stream of the golden server lasts, at most
TTFT_S = 0.1
ERROR_HEADINGS = ("streams", "", "all", "certain", "uncertain", "within bounds")


def _streams(_ctx: click.Context, _param: click.Parameter, value: str) -> list[int]:
    try:
        numbers = sorted({int(part) for part in value.split(",")})
    except ValueError:
        numbers = []
    if not numbers or numbers[0] < 1:
        raise click.BadParameter(f"{value!r} is not a list of numbers of streams (write 50,200,400)")
    return numbers


@click.command(short_help="Prove how exact the times are that this machine measures.")
@click.option(
    "--streams", default="50,200,400,1000", show_default=True, metavar="N,N", callback=_streams,
    help="Concurrent streams of each step.",
)  # fmt: skip
@duration_option("--gap", default="20ms", help="Time between events of a stream.")
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True, help="Load processes.")
@duration_option("--duration", default="10s", help="Time measured in each step.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def command(streams: list[int], gap: float, processes: int, duration: float, as_json: bool) -> None:
    """Prove on this machine how exact the times are, against a server that knows when it sent what.

    The server ("golden") runs in a process of its own, on a core of its own where the system allows that.
    Errors are told minus true, over everything that happened in the steady part of a step. Where the kernel
    stamps what arrives, every value has bounds, and a step holds when every true value lay within them.
    Elsewhere nothing bounds an error, and a step holds when the errors are within 5 ms at p99.

    Exit codes: 0, or 3 when a step did not hold, or none could be counted.
    """
    from astrometer.load.calibrate.calibration_run import StepFailed

    steps = []
    for number in streams:
        click.echo(f"{number} streams, {number / gap:.0f} events/s ...", err=True)
        try:
            steps.append(measure_step(number, gap_s=gap, duration_s=duration, processes=processes))
        except StepFailed as exc:
            click.echo(f"Error: {exc}", err=True)
    counted = [step for step in steps if step.problem() is None]
    if as_json:
        print_rich(json.dumps({"steps": [as_dict(step) for step in steps], "holds": all_hold(counted)}))
    else:
        if steps:
            print_rich(error_table(steps), "", process_table(steps), "")
        for step in steps:
            if (problem := step.problem()) is not None:
                click.echo(f"{step.streams:,} streams are not counted: {problem}.")
        click.echo(sentence(counted))
    raise SystemExit(exit_codes.PASS if all_hold(counted) else exit_codes.INVALID)


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


def all_hold(counted: Sequence["CalibrationStep"]) -> bool:
    """Without a step that counts, nothing is proven."""
    return bool(counted) and all(step.holds for step in counted)


def as_dict(step: "CalibrationStep") -> dict[str, Any]:
    """A step for programs; times in seconds, null where there were no samples."""

    def metric(accuracy: "MetricAccuracy") -> dict[str, Any]:
        return {
            "all": asdict(accuracy.all),
            "certain": asdict(accuracy.certain),
            "uncertain_share": accuracy.uncertain_share,
            "within_bounds_share": accuracy.within_share if step.is_bounded else None,
            "furthest_outside_s": accuracy.outside_s if step.is_bounded else None,
        }

    return {
        "streams": step.streams,
        "processes": step.processes,
        "clock": step.clock,
        "gap_s": step.gap_s,
        "duration_s": step.duration_s,
        "events_per_s": step.events_per_s,
        "ttft_error_s": metric(step.ttft),
        "gap_error_s": metric(step.gap),
        "event_delay_s": asdict(step.delay),
        "cpu_us_per_event": step.cpu_us_per_event,
        "cpu_max": step.cpu_max,
        "loop_lag_p99_s": step.loop_lag_p99_s,
        "server": asdict(step.server),
        "holds": step.holds,
        "problem": step.problem(),
    }


def error_table(steps: Sequence["CalibrationStep"]) -> "Table":
    shown = _table("Error (told minus true) in ms: p50/p99/max", ERROR_HEADINGS)
    for step in steps:
        for name, accuracy in (("TTFT", step.ttft), ("gap", step.gap)):
            shown.add_row(
                f"{step.streams:,}" if accuracy is step.ttft else "",
                name,
                _errors(accuracy.all),
                _errors(accuracy.certain) if step.is_bounded else "–",
                share(accuracy.uncertain_share) if step.is_bounded else "–",
                share(accuracy.within_share) if step.is_bounded else "–",
            )
    return shown


def process_table(steps: Sequence["CalibrationStep"]) -> "Table":
    shown = _table(
        "Load processes", ("streams", "events/s", "CPU us/event", "loop lag p99", "clock", "holds")
    )
    for step in steps:
        cpu_us = step.cpu_us_per_event
        shown.add_row(
            f"{step.streams:,}",
            f"{step.events_per_s:,.0f}",
            "–" if cpu_us is None else f"{cpu_us:.0f}",
            format_duration(step.loop_lag_p99_s),
            step.clock,
            "not counted" if step.problem() is not None else "yes" if step.holds else "no",
        )
    return shown


def _table(title: str, headings: Sequence[str]) -> "Table":
    from rich import box
    from rich.table import Table

    shown = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0),
        show_edge=False,
    )  # fmt: skip
    for heading in headings:
        shown.add_column(heading, justify="left" if heading in ("", "clock") else "right", no_wrap=True)
    return shown


def _errors(summary: "ErrorSummary") -> str:
    return "/".join(_ms(value) for value in (summary.p50, summary.p99, summary.max))


def _ms(value_s: float | None) -> str:
    """Without the unit; a microsecond is still seen."""
    if value_s is None:
        return "–"
    value = value_s * 1e3
    digits = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}"


def sentence(counted: Sequence["CalibrationStep"]) -> str:
    """The one thing to remember, of the steps that count."""
    if not counted:
        return "Nothing is proven: no step could be counted."
    bounded = [step for step in counted if step.is_bounded]
    if len(bounded) < len(counted):
        return _of_user_clock(counted)
    metrics = [metric for step in bounded for metric in (step.ttft, step.gap)]
    exact_s = max((metric.certain.p99 for metric in metrics if metric.certain.p99 is not None), default=None)
    told = f"Times are exact to {_ms(exact_s)} ms at p99"
    worst = max(bounded, key=lambda step: step.gap.uncertain_share or 0.0)
    if worst.gap.uncertain_share:
        told += (
            f"; up to {share(worst.gap.uncertain_share)} of gaps are uncertain, at {worst.streams:,} streams"
        )
    outside = sum(metric.outside for metric in metrics)
    if not outside:
        return f"{told}. All true values lie within their bounds."
    n = sum(metric.all.n for metric in metrics)
    furthest_s = max(metric.outside_s for metric in metrics)
    return (
        f"The bounds do not hold here: {outside:,} of {n:,} true values lie outside, by up to "
        f"{_ms(furthest_s)} ms. Keep the JSON (--json), and report it as a bug."
    )


def _of_user_clock(counted: Sequence["CalibrationStep"]) -> str:
    worst = max(
        (
            errors.p99
            for step in counted
            for errors in (step.ttft.all, step.gap.all, step.delay)
            if errors.p99
        ),
        default=None,
    )
    return (
        "The kernel gives no stamps here (clock: user), and nothing bounds an error: "
        f"times were wrong by up to {_ms(worst)} ms at p99."
        + (
            ""
            if all_hold(counted)
            else " Try fewer --streams, more --processes, or a machine that does less else."
        )
    )
