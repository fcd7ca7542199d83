"""`astrometer history DIR`: all runs below a folder in a row, and where their level changed."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from astrometer import exit_codes
from astrometer.cli.shared.comparing import MARGIN_OPTION, SHARE_MARGIN_OPTION, print_and_write
from astrometer.cli.shared.terminal import print_problem
from astrometer.output_files import json_text, try_place

if TYPE_CHECKING:
    from astrometer.history.found_runs import FoundRuns
    from astrometer.history.run_history import RunHistory


@click.command(short_help="Show runs of weeks or versions in a row: what changed, and when?")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--by",
    "order",
    type=click.Choice(["time", "version"]),
    default="time",
    show_default=True,
    help="Order of the runs. With version, all runs of an AstrBot version are one point.",
)
@MARGIN_OPTION
@SHARE_MARGIN_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write history.html and history.json into this directory.",
)
def command(
    *, directory: Path, order: str, margin: float, share_margin: float, as_json: bool, out: Path | None
) -> None:
    """Show every results.json in DIR and below it in a row: each metric with its interval.

    Runs that cannot be compared (another scenario, load or kind of server) are kept apart. INVALID runs and
    capacity searches are left out. Each is named with its reason. Change points need the optional extra
    `history` (the library ruptures); everything else works without it.

    Exit codes: 0 shown, whatever changed; 2 usage, or no run in DIR; 3 every run was left out.
    """
    from astrometer.history import history_html, history_json, history_table
    from astrometer.history.found_runs import found_below
    from astrometer.history.run_groups import Order
    from astrometer.measure.results.document import DAMAGE

    if out is not None:
        try_place(out, "--out")
    found = found_below(directory)
    asked = {"order": Order(order), "margin": margin, "share_margin": share_margin}
    try:
        history, page = _history_and_page(found, **asked)
    except DAMAGE:
        history, page = _history_and_page(_without_damaged(found), **asked)
    if not history.groups:
        for item in history.left_out:
            print_problem(item.reason)
        raise SystemExit(exit_codes.INVALID)
    text = json_text(history_json.to_json(history))
    print_and_write(
        text.rstrip() if as_json else history_table.render(history),
        lambda: {history_html.FILE_NAME: page, history_json.FILE_NAME: text},
        out,
        None if as_json else history_html.FILE_NAME,
    )


def _history_and_page(found: "FoundRuns", **asked: Any) -> "tuple[RunHistory, str]":
    """The history and its page, which reads most of a file; empty without a run."""
    from astrometer.history.history_html import render_html
    from astrometer.history.run_history import history_of

    history = history_of(found, **asked)
    return history, render_html(history) if history.groups else ""


def _without_damaged(found: "FoundRuns") -> "FoundRuns":
    """Leave out the runs whose files break it (JSON and a version, but not the schema), each by itself."""
    from astrometer.history.found_runs import FoundRuns, LeftOut
    from astrometer.history.run_groups import Order
    from astrometer.measure.results import document

    kept, left_out = [], list(found.left_out)
    for run in found.runs:
        try:
            with document.following_schema(Path(run.name) / document.FILE_NAME):
                _history_and_page(FoundRuns(runs=(run,), left_out=()), order=Order.TIME)
        except document.ResultsError as exc:
            left_out.append(LeftOut(name=run.name, reason=str(exc)))
        else:
            kept.append(run)
    return FoundRuns(runs=tuple(kept), left_out=tuple(left_out))
