"""What commands that compare runs share: conditions, margins, what is printed and written, exit codes."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from astrometer import exit_codes
from astrometer.cli.shared.option_types import Percentage
from astrometer.cli.shared.terminal import print_problem, print_rich
from astrometer.compare.comparison import MARGIN, SHARE_MARGIN
from astrometer.compare.gates import Gate, GateError, parse_gate
from astrometer.output_files import write_somewhere

if TYPE_CHECKING:
    from astrometer.compare.output.compare_view import Page


def gates_of(_ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]) -> list[Gate]:
    """The values of --fail-if."""
    try:
        return [parse_gate(text) for text in texts]
    except GateError as exc:
        raise click.BadParameter(str(exc).removeprefix("--fail-if ")) from exc


MARGIN_OPTION = click.option(
    "--margin",
    type=Percentage("%"),
    default=MARGIN,
    show_default="5%",
    help="The smallest change of a duration that matters.",
)
SHARE_MARGIN_OPTION = click.option(
    "--share-margin",
    type=Percentage("pp"),
    default=SHARE_MARGIN,
    show_default="2pp",
    help="The same for errors and goodput, in percentage points.",
)
ACCEPT_OPTION = click.option(
    "--accept-undecided",
    is_flag=True,
    help="Exit with 0 when no condition came true but some could not be decided.",
)


def conclude(
    shown: "Page", out: Path | None, *, as_json: bool, write_more: Callable[[Path], object] = lambda _: None
) -> None:
    """Print the comparison and write its files."""
    import json

    from astrometer.compare.output import compare_html, compare_json, compare_table

    if as_json:
        print_rich(json.dumps(compare_json.to_json(shown), ensure_ascii=False, indent=1, allow_nan=False))
    else:
        print_rich(compare_table.render(shown))
    if out is None:
        return

    def write(folder: Path) -> None:
        write_comparison(shown, folder)
        write_more(folder)

    place = write_somewhere(out, write, print_problem)
    if place is not None and not as_json:
        print_rich(f"{place / compare_html.FILE_NAME}")


def write_comparison(shown: "Page", folder: Path) -> None:
    """All reports of a comparison. Raises OSError."""
    from astrometer.compare.output import compare_html, compare_json, compare_summary

    compare_html.write_html(shown, folder / compare_html.FILE_NAME)
    compare_json.write_json(shown, folder / compare_json.FILE_NAME)
    compare_summary.write_summary(shown, folder / compare_summary.FILE_NAME)


def exit_code(verdict: str, *, accept_undecided: bool) -> int:
    if verdict == "CANNOT TELL" and accept_undecided:
        return exit_codes.PASS
    return exit_codes.BY_VERDICT[verdict]
