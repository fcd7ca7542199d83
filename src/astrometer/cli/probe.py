"""`astrometer probe`: ask once and print verdicts, or keep asking and export them to Prometheus."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import click

from astrometer import bundled
from astrometer.cli import exits
from astrometer.config import Config, ConfigError, load, target_from_options
from astrometer.probing.files import load_folder
from astrometer.probing.runner import Plan, Runner, make_plans, run_once
from astrometer.probing.verdict import Run


@click.command("probe")
@click.option("--once", is_flag=True, help="Run every probe once, print the verdicts, and exit by them.")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings (default: astrometer.toml here, else ASTRBOT_URL and ASTRBOT_API_KEY).",
)
@click.option("--host", metavar="URL", help="One target instead of a config; its key from ASTRBOT_API_KEY.")
@click.option("--target", "target_name", metavar="NAME", help="Only this target of the config.")
@click.option("--probe", "names", multiple=True, metavar="NAME", help="Only these probes. Repeatable.")
@click.option(
    "--probes",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder of probe files instead of the ones that come along.",
)
@click.option("--json", "as_json", is_flag=True, help="With --once: print the verdicts as a JSON list.")
@click.option(
    "--listen",
    default="127.0.0.1:16185",
    show_default=True,
    metavar="ADDR:PORT",
    help="Where the exporter answers.",
)
@click.option("--check", is_flag=True, help="Check the settings and the probe files, and exit.")
def command(
    *,
    once: bool,
    config_file: Path | None,
    host: str | None,
    target_name: str | None,
    names: tuple[str, ...],
    folder: Path | None,
    as_json: bool,
    listen: str,
    check: bool,
) -> None:
    """Probe AstrBot: once with --once, else around the clock as a Prometheus exporter.

    Exit codes with --once: 0 every probe passed, 1 a probe failed, 2 usage, 4 a target that no probe reached.
    """
    if as_json and not once:
        raise click.UsageError("--json goes with --once")
    if config_file and host:
        raise click.UsageError("--config and --host exclude each other")
    try:
        config = _config(config_file, host, target_name)
        plans = _plans(config, folder or bundled.folder("probes"), names)
    except (ConfigError, bundled.NotBundled) as exc:
        raise click.UsageError(str(exc)) from exc
    address, port = _listen(listen)
    if check:
        click.echo(
            f"{config.source}: {len(config.targets)} targets, {len(plans)} probe runs each round: fine"
        )
        return
    if once:
        runs = asyncio.run(_once(plans, explicit=bool(names)))
        _print_json(runs) if as_json else _print_table(runs)
        sys.exit(exit_code(runs))
    from astrometer.probing.exporter import ListenError, serve

    try:
        asyncio.run(
            serve(config, plans, address=address, port=port, say=lambda text: click.echo(text, err=True))
        )
    except ListenError as exc:
        raise click.UsageError(str(exc)) from exc


def exit_code(runs: list[Run]) -> int:
    """By the worst that was found; a target that no probe reached comes first."""
    for target in {run.target for run in runs}:
        asked = [run for run in runs if run.target == target and run.verdict is not None]
        if asked and all(run.unreachable for run in asked):
            return exits.UNREACHABLE
    return exits.PASS if all(run.ok for run in runs if run.verdict is not None) else exits.FAILED


async def _once(plans: list[Plan], *, explicit: bool) -> list[Run]:
    runner = Runner()
    loop = asyncio.get_running_loop()
    # The first Ctrl-C gives up the questions and still cleans up after them.
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, runner.cut)
    runs = await run_once(runner, plans)
    for run in runs:
        if run.verdict is None:
            if explicit:
                raise click.UsageError(f"{run.probe}: {run.note}")
            click.echo(f"skipped {run.probe} on {run.target}: {run.note}", err=True)
    asked = [run for run in runs if run.verdict is not None]
    if not asked:
        raise click.UsageError(
            "no probe applies: give the target a key (ASTRBOT_API_KEY or [targets.NAME.keys])"
        )
    return asked


def _config(path: Path | None, host: str | None, target_name: str | None) -> Config:
    if host is not None:
        target = target_from_options(host, os.environ)
        config = Config(source="--host", targets={target.name: target})
    else:
        config = load(path)
    if target_name is None:
        return config
    chosen = config.target(target_name)
    return Config(
        source=config.source,
        targets={chosen.name: chosen},
        probes=config.probes,
        objectives=config.objectives,
    )


def _plans(config: Config, folder: Path, names: tuple[str, ...]) -> list[Plan]:
    found = load_folder(folder)
    for broken in found.broken:
        click.echo(f"not a probe, left out: {broken.problem}", err=True)
    for name in names:
        if name not in found.probes:
            known = ", ".join(found.probes) or "none"
            raise click.UsageError(f"--probe {name}: no such probe in {folder} (there are: {known})")
    plans = make_plans(config, found.probes)
    chosen = [plan for plan in plans if not names or plan.probe.name in names]
    if not chosen:
        raise click.UsageError(f"nothing to probe: {config.source} leaves no probe of {folder} enabled")
    return chosen


def _listen(text: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    if not address or not port.isdecimal() or int(port) > 65535:
        raise click.UsageError(f"--listen {text}: ADDRESS:PORT expected, like 127.0.0.1:16185")
    return address.strip("[]"), int(port)


def _print_json(runs: list[Run]) -> None:
    click.echo(json.dumps([as_object(run) for run in runs], indent=2, ensure_ascii=False))


def as_object(run: Run) -> dict[str, Any]:
    """One verdict as `--json` prints it. Times in seconds; `ttft_s` null when nothing was streamed."""
    return {
        "target": run.target,
        "probe": run.probe,
        "ok": run.ok,
        "reason": run.reason,
        "duration_s": round(run.duration_s, 6),
        "ttft_s": None if run.ttft_s is None else round(run.ttft_s, 6),
        "detail": run.detail,
        "note": run.note,
    }


def _print_table(runs: list[Run]) -> None:
    from rich.console import Console
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
        verdict = "[green]PASS[/]" if run.ok else "[red]FAIL[/]"
        times = (format_duration(run.duration_s), format_duration(run.ttft_s))
        detail = escape(run.detail.replace("\n", " "))
        table.add_row(escape(run.target), escape(run.probe), verdict, run.reason, *times, detail)
    console = Console()
    console.print(table)
    for note in sorted({f"{run.target} {run.probe}: {run.note}" for run in runs if run.note}):
        console.print(f"note: {note}", markup=False, highlight=False)
