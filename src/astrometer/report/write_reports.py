"""A results file -> every report that is a file: report.html, summary.md and junit.xml, beside it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from astrometer.measure.results import document
from astrometer.output_files import write_all, write_somewhere
from astrometer.report import html, junit, summary

FILE_NAMES = (html.FILE_NAME, summary.FILE_NAME, junit.FILE_NAME)


def write(results: Mapping[str, Any], folder: Path) -> None:
    """All of them, or none when one cannot be made. Raises OSError."""
    texts = (html.render_html(results), summary.render_summary(results), junit.render_junit(results))
    write_all(folder, dict(zip(FILE_NAMES, texts, strict=True)))


def read_and_keep(directory: Path, piped_results: bytes, say: Callable[[str], None]) -> dict[str, Any]:
    """The results of a run that is over, with its reports beside them. Raises ResultsError."""
    measured = document.read_of_run(directory, piped_results)
    keep(measured, directory, say, with_results=bool(piped_results))
    return measured


def keep(
    measured: Mapping[str, Any], directory: Path, say: Callable[[str], None], *, with_results: bool
) -> list[Path]:
    """Write the reports; returns where they and the results are, in another place if need be, or nowhere.

    `with_results`: results.json is not there yet.
    """

    def write_there(folder: Path) -> None:
        if with_results or folder != directory:
            document.write(folder, measured)
        write(measured, folder)

    place = write_somewhere(directory, write_there, say)
    return [] if place is None else [place / name for name in (document.FILE_NAME, *FILE_NAMES)]
