"""`astrometer doctor`: look at a target before a test and say what would spoil it."""

import asyncio
import json
import sys

import click

from astrometer import exit_codes
from astrometer.api.outcome import Outcome
from astrometer.cli.shared import deletable_sessions
from astrometer.cli.shared.option_types import duration_option
from astrometer.cli.shared.server_options import Server, target_options, warn_of_unverified
from astrometer.cli.shared.terminal import print_rich
from astrometer.config.settings import Target
from astrometer.outside_text import shown
from astrometer.probing.budget import Ledger
from astrometer.probing.daily_cost import turns_sentence
from astrometer.probing.one_off import run_function
from astrometer.probing.runner import Runner
from astrometer.probing.target_checks.doctor import Examination
from astrometer.probing.target_checks.doctor_check import CheckState, DoctorCheck
from astrometer.probing.verdict import ProbeRun

QUESTIONS = 1  # to the model


@click.command("doctor", short_help="Check a target before a test: key, version, model, limits.")
@target_options
@duration_option("--timeout", "timeout_s", default="90s", help="Time limit for everything.")
@click.option(
    "--deletable", is_flag=True, help="Refuse a target on which the doctor's session could not be deleted."
)
@click.option("--json", "as_json", is_flag=True, help="Print the checks as a JSON list.")
def command(
    *,
    server: Server,
    timeout_s: float,
    deletable: bool,
    as_json: bool,
) -> None:
    """Check a target: reachable, version, keys, model, rate limit, clocks, messenger, what a run would leave.

    Asks the model one short question. Exit codes: 0 nothing failed, 1 a check failed, 2 usage, 4 unreachable.
    """
    config = server.config()
    chosen = config.target()
    warn_of_unverified([chosen])
    if deletable:
        deletable_sessions.must_be_deletable([chosen])
    turns = QUESTIONS if chosen.key_for("chat") is not None else 0
    click.echo(turns_sentence(chosen, turns, Ledger(config.state_dir)), err=True)
    checks, run = asyncio.run(examine(chosen, timeout_s))
    _print_json(checks) if as_json else _print_table(chosen, checks)
    deletable_sessions.say_what_stays([run])
    if run.reason == Outcome.CLIENT_CANCEL:
        sys.exit(exit_codes.INTERRUPTED)
    if any(check.unreachable for check in checks):
        sys.exit(exit_codes.UNREACHABLE)
    sys.exit(
        exit_codes.FAILED if any(check.state is CheckState.FAIL for check in checks) else exit_codes.PASS
    )


async def examine(target: Target, timeout_s: float) -> tuple[list[DoctorCheck], ProbeRun]:
    """All checks of one target, nothing left behind that can be removed."""
    examination = Examination()
    runner = Runner()
    runner.cut_at_signals()
    run = await run_function(target, "doctor", examination.probe, timeout_s, costs_tokens=True, runner=runner)
    return [*examination.checks, *_afterwards(run)], run


def _afterwards(run: ProbeRun) -> list[DoctorCheck]:
    if run.cleanup_failures:
        line = f"could not remove: {', '.join(run.cleanup_failures)}"
        return [
            DoctorCheck(
                name="cleanup", state=CheckState.FAIL, line=line, cure="remove it in AstrBot's dashboard"
            )
        ]
    if not run.ok and not run.unreachable and run.detail:
        return [DoctorCheck(name="examination", state=CheckState.FAIL, line=f"{run.reason}: {run.detail}")]
    return []


def _print_json(checks: list[DoctorCheck]) -> None:
    rows = [
        {
            "check": check.name,
            "state": check.state.value,
            "line": shown(check.line, 500),
            "cure": shown(check.cure, 500),
        }
        for check in checks
    ]
    click.echo(json.dumps(rows, indent=2, ensure_ascii=False))


def _print_table(target: Target, checks: list[DoctorCheck]) -> None:
    from rich.markup import escape
    from rich.table import Table

    colours = {CheckState.OK: "green", CheckState.WARN: "yellow", CheckState.FAIL: "red"}
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        state = f"[{colours[check.state]}]{check.state.value}[/]"
        cure = f"\n-> {escape(shown(check.cure, 500))}" if check.cure else ""
        table.add_row(state, escape(check.name), escape(shown(check.line, 500)) + cure)
    click.echo(f"{target.name}: {target.url}")
    print_rich(table)
