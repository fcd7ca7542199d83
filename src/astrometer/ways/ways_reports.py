"""`ways.json` -> the table in the terminal, and `summary.md`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from astrometer.output_files import json_text, write_all
from astrometer.report import summary
from astrometer.ways import ways_document, ways_view
from astrometer.ways.ways_view import WayRow

NARROW = 72  # columns
FILE_NAMES = (ways_document.FILE_NAME, summary.FILE_NAME)
_STYLES = {"PASS": "bold green", "FAIL": "bold red", "INVALID": "bold yellow"}
_MARKS = {"PASS": "✅", "FAIL": "❌", "INVALID": "⚠️"}


def write(answer: Mapping[str, Any], folder: Path) -> None:
    """All of them. Raises OSError."""
    texts = (json_text(answer), render_summary(answer))
    write_all(folder, dict(zip(FILE_NAMES, texts, strict=True)))


@dataclass(frozen=True, slots=True)
class _Table:
    """A line for each way; a narrow terminal has no room for the single searches."""

    answer: Mapping[str, Any]

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        rows = [_cells(row) for row in ways_view.rows(self.answer)]
        titles = _titles(self.answer)
        if options.max_width < NARROW:
            titles, rows = titles[:-1], [row[:-1] for row in rows]
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
        table.add_column("way", no_wrap=True)
        for title in titles:
            table.add_column(title, justify="right", min_width=max(map(len, title.split())))
        for row in rows:
            table.add_row(*row)
        yield table


def _cells(row: WayRow) -> list[Text]:
    return [
        Text(row.way, style="bold"),
        _two(row.capacity, row.interval),
        _two(row.ratio, row.ratio_interval),
        *map(Text, (row.answers, row.p50, row.cpu, row.searches)),
    ]


def render(answer: Mapping[str, Any]) -> RenderableType:
    """What `Console().print` shows."""
    changes = [f"{row.way} {row.change}" for row in ways_view.rows(answer) if row.change]
    return Group(
        _Table(answer),
        Text(ways_view.NOTE, style="dim"),
        *(Text(note, style="dim") for note in ways_view.notes(answer)),
        Text(),
        Text.assemble((answer["verdict"], _STYLES[answer["verdict"]]), "  ", ways_view.sentence(answer)),
        Text(f"      {'; '.join(changes)}", style="bold") if changes else Text(),
        Text(f"      {ways_view.subject(answer)}", style="dim"),
    )


def render_summary(answer: Mapping[str, Any]) -> str:
    """GitHub-flavoured Markdown."""
    text, verdict = summary.text, answer["verdict"]
    titles = ["way", *_titles(answer), ""]
    return "\n".join(
        [
            f"### {_MARKS[verdict]} astrometer capacity, way by way: {verdict}",
            "",
            text(ways_view.subject(answer)),
            "",
            text(ways_view.sentence(answer)),
            "",
            f"| {' | '.join(map(text, titles))} |",
            f"|---|{'--:|' * (len(titles) - 2)}---|",
            *(_markdown(row) for row in ways_view.rows(answer)),
            "",
            *(f"<sub>{text(note)}</sub>\n" for note in (ways_view.NOTE, *ways_view.notes(answer))),
        ]
    )


def _titles(answer: Mapping[str, Any]) -> list[str]:
    return [title.format(ways_view.first(answer)) for title in ways_view.TITLES]


def _two(above: str, below: str) -> Text:
    return Text.assemble(above, "\n", (below, "dim"))


def _markdown(row: WayRow) -> str:
    cells = (
        summary.text(row.way),
        f"{row.capacity}<br><sub>{row.interval}</sub>",
        f"{row.ratio}<br><sub>{row.ratio_interval}</sub>",
        *(row.answers, row.p50, row.cpu, row.searches, row.change),
    )
    return f"| {' | '.join(cells)} |"
