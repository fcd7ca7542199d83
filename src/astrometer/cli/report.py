"""`astrometer report DIR`: results.json -> report.html, summary.md and junit.xml once more, and the table."""

from pathlib import Path

import click

from astrometer.cli import exit_codes


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
def command(directory: Path) -> None:
    """Make report.html, summary.md and junit.xml again from DIR/results.json, and print the table.

    DIR may also be the results file itself; the reports are written beside it. Exits with 2 when the file
    cannot be read, and with 0 otherwise, whatever the verdict in it: nothing is judged anew.
    """
    from rich.console import Console

    from astrometer.measure.results import document as results_file
    from astrometer.report import table, write_reports

    folder = directory if directory.is_dir() else directory.parent
    console = Console()
    try:
        results = results_file.read(directory)
        with results_file.following_schema(directory):
            written = write_reports.write(results, folder)
            console.print(table.render(results))
    except results_file.ResultsError as exc:
        click.echo(f"Error: {exc}", err=True)
        raise SystemExit(exit_codes.USAGE) from exc
    except OSError as exc:
        click.echo(f"Error: {exc.filename}: cannot be written ({exc.strerror})", err=True)
        raise SystemExit(exit_codes.USAGE) from exc
    places = "\n".join(str(path) for path in written)
    console.print(f"\nWrote\n{places}", markup=False, highlight=False, soft_wrap=True)
