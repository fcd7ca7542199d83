"""`astrometer doctor`: look at a target before a test and say what would spoil it."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import click

from astrometer.cli import exit_codes
from astrometer.cli.probe_sources import load_and_tell
from astrometer.config.loader import target_from_options
from astrometer.config.settings import ConfigError, Target
from astrometer.outside_text import shown
from astrometer.probing.diagnosis import Check, Examination, State
from astrometer.probing.plan import Plan
from astrometer.probing.probe_files import Probe
from astrometer.probing.run_record import Limits
from astrometer.probing.runner import Runner
from astrometer.probing.verdict import Run


@click.command("doctor")
@click.option("--host", metavar="URL", help="The server to look at; its key from ASTRBOT_API_KEY.")
@click.option("--target", "target_name", metavar="NAME", help="A target of the config instead.")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings (default: astrometer.toml here, else ASTRBOT_URL and ASTRBOT_API_KEY).",
)
@click.option("--timeout", "timeout_s", default=90.0, show_default=True, help="Seconds for everything.")
@click.option("--json", "as_json", is_flag=True, help="Print the checks as a JSON list.")
def command(
    *, host: str | None, target_name: str | None, config_file: Path | None, timeout_s: float, as_json: bool
) -> None:
    """Check a target: reachable, version, keys and scopes, model, rate limit, clocks, what a run would leave.

    Asks the model one short question. Exit codes: 0 nothing failed, 1 a check failed, 2 usage, 4 unreachable.
    """
    if host and (target_name or config_file):
        raise click.UsageError("--host goes without --target and --config")
    try:
        if host:
            target = target_from_options(host, os.environ)
        else:
            target = load_and_tell(config_file).target(target_name)
    except ConfigError as exc:
        raise click.UsageError(str(exc)) from exc
    checks = asyncio.run(examine(target, timeout_s))
    _print_json(checks) if as_json else _print_table(target, checks)
    if any(check.unreachable for check in checks):
        sys.exit(exit_codes.UNREACHABLE)
    sys.exit(exit_codes.FAILED if any(check.state is State.FAIL for check in checks) else exit_codes.PASS)


async def examine(target: Target, timeout_s: float) -> list[Check]:
    """All checks of one target, nothing left behind that can be removed."""
    examination = Examination()
    probe = Probe(
        name="doctor",
        function=examination.probe,
        interval_s=timeout_s,
        scopes=(),
        costs_tokens=True,
        summary="",
    )
    runner = Runner()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, runner.cut)
    plan = Plan(target=target, probe=probe, limits=Limits(total_s=timeout_s))
    run = await runner.run(plan)
    return [*examination.checks, *_afterwards(run)]


def _afterwards(run: Run) -> list[Check]:
    if run.cleanup_failures:
        line = f"could not remove: {', '.join(run.cleanup_failures)}"
        return [Check(name="cleanup", state=State.FAIL, line=line, cure="remove it in AstrBot's dashboard")]
    if not run.ok and not run.unreachable and run.detail:
        return [Check(name="examination", state=State.FAIL, line=f"{run.reason}: {run.detail}")]
    return []


def _print_json(checks: list[Check]) -> None:
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


def _print_table(target: Target, checks: list[Check]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    colours = {State.OK: "green", State.WARN: "yellow", State.FAIL: "red"}
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        state = f"[{colours[check.state]}]{check.state.value}[/]"
        cure = f"\n-> {escape(shown(check.cure, 500))}" if check.cure else ""
        table.add_row(state, escape(check.name), escape(shown(check.line, 500)) + cure)
    console = Console()
    console.print(f"{target.name}: {target.url}", markup=False, highlight=False)
    console.print(table, highlight=False)
