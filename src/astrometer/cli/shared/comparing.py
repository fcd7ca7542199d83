"""What commands that compare runs share: conditions, margins, what is printed and written, exit codes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from astrometer import exit_codes
from astrometer.cli.shared.option_types import Percentage
from astrometer.cli.shared.terminal import print_problem, print_rich
from astrometer.compare.comparison import MARGIN, SHARE_MARGIN
from astrometer.compare.gates import Gate, GateError, parse_gate
from astrometer.output_files import json_text, write_all, write_somewhere

if TYPE_CHECKING:
    from rich.console import RenderableType

    from astrometer.compare.output.compare_view import Page


def gates_of(_ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]) -> list[Gate]:
    try:
        return [parse_gate(text) for text in texts]
    except GateError as exc:
        raise click.BadParameter(str(exc).removeprefix("--fail-if ")) from exc


MARGIN_OPTION = click.option(
    "--margin",
    type=Percentage("%"),
    default=MARGIN,
    help=f"The smallest change of a duration that matters. [{MARGIN:.0%}]",
)
SHARE_MARGIN_OPTION = click.option(
    "--share-margin",
    type=Percentage("pp"),
    default=SHARE_MARGIN,
    help=f"The same for errors and goodput, in percentage points. [{SHARE_MARGIN * 100:.0f}pp]",
)
ACCEPT_OPTION = click.option(
    "--accept-undecided",
    is_flag=True,
    help="Exit with 0 when no condition came true but some could not be decided.",
)


def print_and_write(
    answer: "RenderableType",
    files: Callable[[], Mapping[str, str]],
    out: Path | None,
    page: str | None = None,
) -> None:
    """Print the answer. With `out` write the files into it (their texts by name), and say where `page` is."""
    print_rich(answer)
    if out is not None:
        texts = files()
        place = write_somewhere(out, lambda folder: write_all(folder, texts), print_problem)
        if place is not None and page is not None:
            print_rich(f"{place / page}")


def files_of(shown: "Page") -> dict[str, str]:
    """All reports of a comparison: their texts, by file name."""
    from astrometer.compare.output import compare_html, compare_json, compare_summary

    return {
        compare_html.FILE_NAME: compare_html.render_html(shown),
        compare_json.FILE_NAME: json_text(compare_json.to_json(shown)),
        compare_summary.FILE_NAME: compare_summary.render_summary(shown),
    }


def exit_code(verdict: str, *, accept_undecided: bool) -> int:
    if verdict == "CANNOT TELL" and accept_undecided:
        return exit_codes.PASS
    return exit_codes.BY_VERDICT[verdict]
