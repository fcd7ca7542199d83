"""`astrometer explain FILE_OR_DIR`: the slowest exchanges of a run as timelines, and what they share."""

from pathlib import Path

import click

from astrometer.cli.shared.terminal import print_rich
from astrometer.user_error import UserError


@click.command(short_help="Show the slowest exchanges of a run, and what they have in common.")
@click.argument("place", type=click.Path(path_type=Path), metavar="FILE|DIR")
@click.option(
    "--by", metavar="METRIC",
    help="Metric of results.json to sort by, such as ttft or tail. [duration of the whole exchange]",
)  # fmt: skip
@click.option(
    "--operation", metavar="NAME",
    help="Only exchanges of this operation, such as upload. [turns, if there are any]",
)  # fmt: skip
@click.option(
    "--slowest", type=click.IntRange(1, 1000), default=10, show_default=True, metavar="N",
    help="How many to show.",
)  # fmt: skip
def command(place: Path, by: str | None, operation: str | None, slowest: int) -> None:
    """Show the slowest exchanges of a run as timelines, and what they have in common.

    FILE is what --records wrote; DIR has the results.json of such a run. Slow are the slowest 1 % (at least
    10). A trait is listed with its share among the slow exchanges and its share among all, if chance does not
    explain the difference. Exits with 2 when there is nothing to show.
    """
    from astrometer.measure.records import record_files, slow_exchanges
    from astrometer.measure.results.document import DAMAGE
    from astrometer.report import explain_view

    if by is not None:
        slow_exchanges.check_metric(by)
    file = _records_of(place) if place.is_dir() else place
    try:
        found = slow_exchanges.explain(
            lambda: record_files.read_rows(file), metric=by, operation=operation, slowest=slowest
        )
        shown = explain_view.render(found)
    except UserError:
        raise
    except slow_exchanges.NothingSlow as exc:
        raise UserError(f"{file}: {exc}") from exc
    except DAMAGE as exc:
        raise UserError(f"{file}: not the records of a run ({exc})") from exc
    print_rich(shown)


def _records_of(directory: Path) -> Path:
    """Where the results in `directory` say that they are. Raises ResultsError, RecordsError."""
    from astrometer.measure.records.record_files import RecordsError
    from astrometer.measure.results import document

    kept = document.read(directory).get("records")
    if not kept:
        raise RecordsError(f"{directory}: this run kept no records; run it with --records FILE.jsonl.gz")
    return directory / str(kept["file"])
