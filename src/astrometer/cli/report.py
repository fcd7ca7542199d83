"""`astrometer report DIR`: results.json -> report.html, summary.md and junit.xml once more, and the table."""

from pathlib import Path

import click

from astrometer import exit_codes
from astrometer.cli.shared.terminal import print_problem, print_rich
from astrometer.output_files import write_somewhere


@click.command(short_help="Make the reports of a results.json again, and print its table.")
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
def command(directory: Path) -> None:
    """Make report.html, summary.md and junit.xml again from DIR/results.json, and print the table.

    DIR may also be the results file itself; the reports are written beside it. Exits with 2 when the file
    cannot be read, and with 0 otherwise, whatever the verdict in it: nothing is judged anew.
    """
    from astrometer.measure.results import document as results_file
    from astrometer.report import table, write_reports

    folder = directory if directory.is_dir() else directory.parent
    results = results_file.read(directory)
    with results_file.following_schema(directory):
        rendered = table.render(results)
        place = write_somewhere(folder, lambda to: write_reports.write(results, to), print_problem)
    places = [] if place is None else [f"{place / name}" for name in write_reports.FILE_NAMES]
    print_rich(rendered, *(["\n".join(["\nWrote", *places])] if places else []))
    if place != folder:
        raise SystemExit(exit_codes.USAGE)
