"""What every command that makes a Locust run shares: its target, and the way from a plan to an exit code."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from astrometer.cli import exit_codes, tls_note
from astrometer.cli.terminal import print_problem, print_rich
from astrometer.config import loader
from astrometer.config.settings import ConfigError, Target
from astrometer.measure.results import document
from astrometer.output_files import NoPlaceError, try_place, write_somewhere
from astrometer.report import write_reports
from astrometer.units import parse_duration

if TYPE_CHECKING:
    from astrometer.load.launch import LoadPlan

EXIT_BY_VERDICT = {
    "PASS": exit_codes.PASS,
    "NONE": exit_codes.PASS,
    "FAIL": exit_codes.FAILED,
    "INVALID": exit_codes.INVALID,
}


class Duration(click.ParamType[float]):
    """`90s`, `1m30s`, or a number of seconds."""

    name = "time"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return parse_duration(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


class WholeSeconds(Duration):
    """Of what Locust counts in whole seconds."""

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds = super().convert(value, param, ctx)
        if not seconds.is_integer():
            self.fail(f"{value!r}: Locust knows whole seconds only (write 90s or 1m30s)", param, ctx)
        return seconds


class Rate(click.ParamType[float]):
    """`5/s`, `90/m`, `600/h`: arrivals per second."""

    name = "rate"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number, slash, unit = str(value).partition("/")
        per_s = {"s": 1.0, "m": 1 / 60, "h": 1 / 3600}.get(unit)
        try:
            rate = float(number) * (per_s or 0.0)
        except ValueError:
            rate = 0.0
        if not slash or not 0 < rate < float("inf"):
            self.fail(f"{value!r} is not a rate (write 5/s, 90/m or 600/h)", param, ctx)
        return rate


def choose_target(host: str | None, target: str | None, config_file: Path | None) -> tuple[Target, list[str]]:
    """The target, and the objectives that the configuration sets."""
    if host is not None and (target is not None or config_file is not None):
        raise ConfigError("either --host, or --target of a configuration")
    if host is not None:
        return loader.target_from_options(host, os.environ), []
    loaded = loader.load(config_file)
    return loaded.target(target), [objective.text for objective in loaded.objectives]


def must_be_open(*, is_open: bool) -> None:
    """`--arrivals` says nothing in a closed model. Raises click.UsageError."""
    given = click.get_current_context().get_parameter_source("arrivals")
    if given is not click.core.ParameterSource.DEFAULT and not is_open:
        raise click.UsageError("--arrivals is about a rate (5/s); users begin when their answers have come")


def show(plan: "LoadPlan") -> None:
    """The same run as a plain Locust command, on whatever machine: without the journal of this one."""
    click.echo(f"{replace(plan, journal=None).shell()}\n# with the API key in ASTRBOT_API_KEY")


def go(
    plan: "LoadPlan", *, warning: str | None, yes: bool, no_check: bool, deletable: bool = False
) -> NoReturn:
    """Ask where one must, run it, show and keep the results, exit by the verdict. Raises click.UsageError."""
    from astrometer.cli import confirm
    from astrometer.load import launch
    from astrometer.probing import preflight

    if not plan.keys():
        raise click.UsageError(
            f"no API key for {plan.target.url}: set ASTRBOT_API_KEY or ASTRBOT_API_KEY_FILE, "
            "or name keys in the configuration"
        )
    try:
        try_place(plan.out, "--out")
    except NoPlaceError as exc:
        raise click.UsageError(str(exc)) from exc
    confirm.must_be_able_to_ask(plan.target.url, yes=yes)
    tls_note.warn([plan.target])
    if warning:
        click.echo(f"Warning: {warning}", err=True)
    try:
        preflight.check_reachable(plan.target)
        if not no_check:
            preflight.check_credentials(plan.target)
    except preflight.KeyRefused as exc:
        raise click.UsageError(f"{exc}; --no-check loads it all the same") from exc
    except (preflight.Unreachable, preflight.NotAstrBot) as exc:
        click.echo(f"Error: {exc}", err=True)
        raise SystemExit(exit_codes.UNREACHABLE) from exc
    plan, version = confirm.look_at_server(plan, deletable=deletable)
    confirm.confirm(plan, version, yes=yes)
    if plan.web_port is not None:
        click.echo(f"Web UI: http://127.0.0.1:{plan.web_port}", err=True)
    # What an earlier run left in the directory must not pass for this one's results.
    for stale in (document.FILE_NAME, *write_reports.FILE_NAMES):
        (plan.out / stale).unlink(missing_ok=True)
    told: list[bytes] = []
    raise SystemExit(_conclude(plan.out, launch.run(plan, os.environ, told=told.append), b"".join(told)))


def keep(measured: Mapping[str, Any], out: Path, *, with_results: bool = False) -> None:
    """Write the reports, and say where they are. `with_results`: and results.json, which is not there yet."""
    written: list[Path] = []

    def write(folder: Path) -> None:
        if with_results or folder != out:
            document.write(folder, measured)
        written[:] = [folder / document.FILE_NAME, *write_reports.write(measured, folder)]

    if write_somewhere(out, write, print_problem) is not None:
        print_rich("\n".join(str(path) for path in written))


def _conclude(out: Path, locust_exit_code: int, told: bytes = b"") -> int:
    """Show and keep the results; the exit code. `told`: the results that Locust could not write."""
    from astrometer.report.table import render

    try:
        measured = document.read_told(told) if told else document.read(out)
    except document.ResultsError:
        log = out / "locust.log"
        # 2 is a refused argument, but Locust also says 2 after an exception somewhere in a run.
        crashed = log.is_file() and "Traceback" in log.read_text("utf-8", "replace")
        usage = locust_exit_code == exit_codes.USAGE and not crashed
        hint = "" if usage else f"; see {log}"
        click.echo(
            f"Error: Locust ended with exit code {locust_exit_code} and without results{hint}", err=True
        )
        return exit_codes.USAGE if usage else exit_codes.INVALID
    print_rich(render(measured))
    keep(measured, out, with_results=bool(told))
    if (measured["stopped"] or {}).get("by") == "interrupted":
        return exit_codes.INTERRUPTED
    return EXIT_BY_VERDICT[measured["verdict"]]
