"""`astrometer compare BASE CAND`: runs of two sides -> what changed, and whether that is allowed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from astrometer.cli.shared.comparing import (
    ACCEPT_OPTION,
    MARGIN_OPTION,
    SHARE_MARGIN_OPTION,
    exit_code,
    files_of,
    gates_of,
    print_and_write,
)
from astrometer.cli.shared.without_effect import refuse, typed
from astrometer.compare.comparable import ComparedRun
from astrometer.compare.gates import Gate
from astrometer.measure.results import document
from astrometer.output_files import json_text, try_place
from astrometer.user_error import UserError


@click.command(short_help="Compare runs: what changed, how surely, and is it allowed?")
@click.argument("base", metavar="BASE")
@click.argument("cand", metavar="CAND")
@click.option(
    "--fail-if",
    "gates",
    multiple=True,
    metavar="EXPR",
    callback=gates_of,
    help="'ttft_p95 worse by 10%', 'chat: e2e_p50 worse by 200ms', 'errors worse by 1pp', "
    "'server_rss_growth worse by 10MB/1000 turns', 'any worse'. "
    "Repeatable.",
)
@MARGIN_OPTION
@SHARE_MARGIN_OPTION
@ACCEPT_OPTION
@click.option("--force", is_flag=True, help="Show the numbers of runs that must not be compared.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write compare.html, compare.json and summary.md into this directory.",
)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    base: str,
    cand: str,
    gates: list[Gate],
    margin: float,
    share_margin: float,
    accept_undecided: bool,
    force: bool,
    as_json: bool,
    out: Path | None,
) -> None:
    """Compare a baseline with a candidate, from the results.json of their runs.

    BASE and CAND: the directory of a run or its results file; a directory of such directories, whose runs
    are pooled; or several of these with commas between them.

    Exit codes: 0 no condition of --fail-if came true (or there is none), 1 one did, 2 usage or an unreadable
    file, 3 the runs must not be compared, or a condition cannot be decided.
    """
    if not gates:
        refuse(typed(ctx), ["accept_undecided"], "needs --fail-if")
    from astrometer.compare.gates import check_scenarios, compare_for, evaluate_gates
    from astrometer.compare.output import compare_html, compare_json, compare_table
    from astrometer.compare.output.compare_view import page

    if out is not None:
        try_place(out, "--out")
    sides = find_runs(base), find_runs(cand)
    with naming_the_damaged([*sides[0], *sides[1]]):
        compared = compare_for(gates, *sides, margin=margin, share_margin=share_margin)
        check_scenarios(gates, compared)
        shown = page(compared, evaluate_gates(gates, compared), forced=force)
        print_and_write(
            json_text(compare_json.to_json(shown)).rstrip() if as_json else compare_table.render(shown),
            lambda: files_of(shown),
            out,
            None if as_json else compare_html.FILE_NAME,
        )
    raise SystemExit(exit_code(shown.verdict, accept_undecided=accept_undecided))


@contextmanager
def naming_the_damaged(runs: Sequence[ComparedRun]) -> Iterator[None]:
    """What a damaged or hand-made file breaks (JSON and a version, but not the schema) -> ResultsError.

    The file to blame is the one that cannot even be compared with itself: only then is it looked for.
    """
    from astrometer.compare.comparison import compare
    from astrometer.compare.output.compare_html import render_html
    from astrometer.compare.output.compare_view import page

    try:
        yield
    except UserError:
        raise
    except document.DAMAGE as exc:
        for run in runs:
            path = Path(run.name)
            with document.following_schema(path / document.FILE_NAME if path.is_dir() else path):
                render_html(page(compare([run], [run]), [], forced=True))
        raise document.ResultsError(
            f"one of the files does not follow the schema of results.json ({exc})"
        ) from exc


def find_runs(text: str) -> list[ComparedRun]:
    """The runs that an argument names. Raises ResultsError."""
    paths = [Path(text)] if Path(text).exists() else [Path(part) for part in text.split(",") if part.strip()]
    if not paths:
        raise document.ResultsError(f"{text!r}: names no run")
    runs = [run for path in paths for run in _runs_at(path)]
    return [
        ComparedRun(name=str(at.parent if at.name == document.FILE_NAME else at), results=read)
        for at, read in runs
    ]


def _runs_at(path: Path) -> list[tuple[Path, dict[str, object]]]:
    if path.is_dir() and not (path / document.FILE_NAME).exists():
        folders = sorted(file.parent for file in path.glob(f"*/{document.FILE_NAME}"))
        if not folders:
            raise document.ResultsError(
                f"{path}: neither a run nor a directory of runs (no {document.FILE_NAME})"
            )
        return [(folder, document.read(folder)) for folder in folders]
    return [(path, document.read(path))]
