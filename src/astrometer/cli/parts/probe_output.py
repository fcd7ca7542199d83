"""Runs -> what `astrometer probe --once` prints and exits with: a table, a JSON list, an exit code."""

import json
from collections.abc import Mapping
from typing import Any

import click

from astrometer import exit_codes
from astrometer.api.outcome import Outcome
from astrometer.cli.shared.terminal import print_rich
from astrometer.outside_text import shown
from astrometer.probing.status.layer_evidence import StateLayer
from astrometer.probing.status.state_by_layer import State, TargetState
from astrometer.probing.verdict import ProbeRun
from astrometer.units import utc

COLORS = {State.OK: "green", State.DEGRADED: "yellow", State.FAILING: "red", State.UNKNOWN: "bright_black"}


def exit_code(runs: list[ProbeRun]) -> int:
    """By the worst that was found; a target that no probe reached comes first, but for an interrupt.

    A probe that was skipped proves nothing: without it the others' success is not a pass.
    """
    if any(run.reason == Outcome.CLIENT_CANCEL for run in runs):
        return exit_codes.INTERRUPTED
    if unreachable_targets(runs):
        return exit_codes.UNREACHABLE
    if not all(run.ok for run in runs if run.verdict is not None):
        return exit_codes.FAILED
    return exit_codes.INVALID if any(run.skipped for run in runs) else exit_codes.PASS


def unreachable_targets(runs: list[ProbeRun]) -> set[str]:
    asked: dict[str, list[ProbeRun]] = {}
    for run in runs:
        if run.verdict is not None:
            asked.setdefault(run.target, []).append(run)
    return {target for target, its in asked.items() if all(run.unreachable for run in its)}


def print_json(runs: list[ProbeRun], states: Mapping[str, TargetState]) -> None:
    listed = [as_object(run, states[run.target]) for run in runs]
    click.echo(json.dumps(listed, indent=2, ensure_ascii=False))


def as_object(run: ProbeRun, state: TargetState) -> dict[str, Any]:
    """One verdict as `--json` prints it. Times in seconds; null is what was not measured or not reached."""
    return {
        "target": run.target,
        "probe": run.probe,
        "ok": run.ok,
        "reason": run.reason,
        "skipped": run.skipped,
        "started_at": utc(run.started_at),
        "duration_s": round(run.duration_s, 6),
        "ttft_s": None if run.ttft_s is None else round(run.ttft_s, 6),
        "phases_s": {name: round(seconds, 6) for name, seconds in run.phases.items()},
        "input_tokens": run.tokens["input"],
        "output_tokens": run.tokens["output"],
        "scope_violations": [
            {"key": check.key, "endpoint": check.endpoint, "kind": check.violation}
            for check in run.scope_checks
            if check.violation
        ],
        "left_behind": [*run.cleanup_failures, *run.stays],
        "detail": run.detail,
        "note": run.note,
        "target_state": state.status.value,
    }


def print_table(runs: list[ProbeRun], states: Mapping[str, TargetState]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from astrometer.units import format_duration

    table = Table(box=None, pad_edge=False)
    for title in ("target", "probe", "verdict", "reason"):
        table.add_column(title, no_wrap=True)
    for title in ("duration", "TTFT"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("detail", overflow="fold")
    for run in runs:
        verdict = "[green]PASS[/]" if run.ok else "[yellow]SKIP[/]" if run.skipped else "[red]FAIL[/]"
        times = (format_duration(run.duration_s), format_duration(run.ttft_s))
        detail = escape(shown(run.detail, 500))
        table.add_row(escape(run.target), escape(run.probe), verdict, run.reason, *times, detail)
    print_rich(table)
    click.echo()
    print_states(states)
    for note in sorted({f"{run.target} {run.probe}: {run.note}" for run in runs if run.note}):
        click.echo(f"note: {shown(note, 1000)}")


def print_states(states: Mapping[str, TargetState]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("target", "state", *(layer.label for layer in StateLayer)):
        table.add_column(title)
    for target, state in states.items():
        color = COLORS[state.worst.state]
        layers = (f"[{COLORS[one.state]}]{one.title}[/] {one.why}".rstrip() for one in state.layers)
        table.add_row(escape(target), f"[{color}]{state.title}[/]", *layers)
    print_rich(table)
