"""`astrometer sla`: the history of an exporter -> a month's availability, as Markdown and HTML."""

import os
from pathlib import Path
from time import time

import click

from astrometer.cli.shared.without_effect import refuse, typed
from astrometer.config.loader import load
from astrometer.config.settings import DEFAULT_FILE, ConfigError
from astrometer.output_files import reason, write_whole
from astrometer.probing.status.sla_report import MonthReport

NO_STATE = "say where the exporter keeps its state: --state-dir DIR, or --config FILE with state_dir in it"


@click.command("sla", short_help="Report a month's availability by layer, with every outage.")
@click.option("--month", required=True, metavar="YYYY-MM", help="Month to report (UTC), up to 100 days back.")
@click.option(
    "--state-dir", type=click.Path(path_type=Path, file_okay=False),
    help="The state folder of the exporter (default: $STATE_DIRECTORY, or as the config says).",
)  # fmt: skip
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path, dir_okay=False),
    help="The exporter's settings, for its state folder (default: astrometer.toml here).",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False),
    help="Write sla-YYYY-MM.md and sla-YYYY-MM.html there (default: print the Markdown).",
)  # fmt: skip
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    month: str,
    state_dir: Path | None,
    config_file: Path | None,
    out: Path | None,
) -> None:
    """Report how available each target was in a month: by layer, with the cause and length of every outage.

    Reads the history that the exporter keeps in its state folder; the exporter may be running. Exit codes:
    0 reported; 2 usage, or there is no data of that month.
    """
    if state_dir is not None:
        refuse(typed(ctx), ["config_file"], "cannot be combined with --state-dir")
    report = MonthReport.read(state_dir or _state_dir(config_file), month, time())
    if out is None:
        click.echo(report.markdown())
        return
    for suffix, text in (("md", report.markdown()), ("html", report.html())):
        path = out / f"sla-{month}.{suffix}"
        try:
            write_whole(path, text)
        except OSError as exc:
            raise click.UsageError(f"{path}: cannot be written ({reason(exc)})") from exc
        click.echo(str(path))


def _state_dir(config_file: Path | None) -> Path:
    # systemd sets STATE_DIRECTORY for a service with StateDirectory=.
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given and config_file is None:
        return Path(given)
    if config_file is None and not Path(DEFAULT_FILE).exists():
        raise ConfigError(NO_STATE)
    folder = load(config_file).state_dir or (Path(given) if given else None)
    if folder is None:
        raise ConfigError(NO_STATE)
    return folder
