"""A results file -> every report that is a file: report.html, summary.md and junit.xml, beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from astrometer.output_files import write_whole
from astrometer.report import html, junit, summary

FILE_NAMES = (html.FILE_NAME, summary.FILE_NAME, junit.FILE_NAME)


def write(results: Mapping[str, Any], folder: Path) -> list[Path]:
    """All of them, or none when one cannot be made; returns where they are. Raises OSError."""
    texts = (html.render_html(results), summary.render_summary(results), junit.render_junit(results))
    paths = [folder / name for name in FILE_NAMES]
    for path, text in zip(paths, texts, strict=True):
        write_whole(path, text)
    return paths
