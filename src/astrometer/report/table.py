"""A results file -> the last thing a run says in the terminal: a table per scenario and the verdict.

Two lines in each row keep it readable at 80 columns: a value, and below it the number of samples.
"""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from astrometer.report import formatting
from astrometer.report.view import capacity_steps, other_requests_view, run_view, uploads_view
from astrometer.report.view.notes import answer_notes, notes
from astrometer.report.view.time_columns import CellSign, mark_notes, time_columns

_STYLES = {
    "PASS": "bold green",
    "FAIL": "bold red",
    "INVALID": "bold yellow",
    "DRIFTING": "bold yellow",
    "NONE": "bold",
}
_MARKS = {"PASS": ("✓", "green"), "FAIL": ("✗", "red"), "NO_DATA": ("?", "yellow")}
_OF_VERDICT = {"NO_DATA": "too few samples", "INVALID": "was {}, not to be trusted"}
_JUDGED = "Objectives count failed requests as infinitely slow; the table shows successful ones only"


def render(results: Mapping[str, Any]) -> RenderableType:
    """What `Console().print` shows; it adapts to the width of the console, and to no colour."""
    rows = run_view.scenario_rows(results)
    parts: list[RenderableType] = [_table(rows, "scenario", last_is_all=len(rows) > 1)]
    if stages := run_view.stage_rows(results):
        parts += [Text(), _table(stages, "stage")]
    if by_stage := run_view.stage_objectives(results):
        parts += [Text(), _stage_objectives(by_stage)]
    if by_size := uploads_view.rows(results):
        parts += [Text(), _upload_table(by_size)]
    parts += [Text(note, style="dim") for note in mark_notes(rows)]
    if (note := run_view.withheld_note([*rows, *stages, *by_size])) is not None:
        parts.append(Text(note, style="dim"))
    if (note := run_view.excluded_note(results)) is not None:
        parts.append(Text(note, style="dim"))
    parts += [Text(line) for line in notes(results)]
    if own := other_requests_view.lines(results):
        parts += [
            Text(f"{other_requests_view.TITLE} ({other_requests_view.NOTE}):"),
            *(Text(f"  {line}") for line in own),
        ]
    if not rows:
        parts = [Text("Nothing was started.", style="yellow")]
    if (searched := capacity_steps.table(results)) is not None:
        parts = [searched, Text(capacity_steps.NOTE, style="dim")]
        parts += [Text(line) for line in answer_notes(results)]
    return Group(*parts, Text(), *_verdict(run_view.headline(results)))


def _table(rows: list[run_view.ReportRow], first: str, *, last_is_all: bool = False) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column(first, overflow="fold", min_width=6)
    table.add_column("turns", justify="right", no_wrap=True)
    table.add_column("outcomes", overflow="fold", ratio=1, min_width=10)
    times = time_columns(rows)
    for title in (*("\n".join(column.head) for column in times), "goodput"):
        table.add_column(title, justify="right", no_wrap=True)
    for index, row in enumerate(rows):
        if last_is_all and index == len(rows) - 1:
            table.add_section()
        table.add_row(
            Text(row.name, style="bold"),
            formatting.count(row.started),
            _outcomes(row),
            *(_times(column.cells(row)) for column in times),
            Text.assemble(row.goodput_rate, "\n", (row.goodput_share, "dim")),
        )
    return table


def _upload_table(rows: list[uploads_view.UploadRow]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("uploads of", overflow="fold", min_width=6)
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("outcomes", overflow="fold", ratio=1, min_width=12)
    for title in ("through-\nput p50", "\np5", "accept\np95", "duration\np95"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        cells = (row.throughput_p50, row.throughput_p5, row.accept_p95, row.duration_p95)
        table.add_row(
            Text(row.size, style="bold"),
            formatting.count(row.counts.started),
            _outcomes(row.counts),
            *(_cell(cell) for cell in cells),
        )
    return table


def _stage_objectives(stages: list[tuple[str, tuple[run_view.Judged, ...]]]) -> Table:
    """Stages downwards, objectives across: what it was, marked with its verdict."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("objectives by stage", overflow="fold")
    for item in stages[0][1]:
        table.add_column(Text(item.text), justify="right", overflow="fold")
    for name, items in stages:
        cells = []
        for item in items:
            mark, colour = _MARKS.get(item.verdict, ("?", "yellow"))
            cells.append(Text.assemble((f"{mark} {item.value}", colour), "\n", (f"n {item.n}", "dim")))
        table.add_row(Text(name, style="bold"), *cells)
    return table


def _outcomes(row: run_view.ReportRow) -> Text:
    text = Text()
    if row.ok:
        text.append(f"ok {formatting.count(row.ok)}", style="green")
    for name, number in row.failures:
        text.append("\n" if text else "")
        text.append(f"{name} {formatting.count(number)}", style="red")
    lost = row.started - row.ended
    if lost:
        text.append("\n" if text else "")
        text.append(f"never ended {formatting.count(lost)}", style="bold yellow")
    return text or Text(formatting.WITHHELD, style="dim")


def _cell(cell: run_view.Shown | None, mark: str = "") -> Text:
    if cell is None:
        return Text()
    return Text.assemble(cell.text, mark, "\n", (f"n {formatting.brief_count(cell.n)}", "dim"))


def _times(cells: list[tuple[run_view.Shown, CellSign]]) -> Text:
    return Text("\n").join(_cell(cell, mark.sign) for cell, mark in cells)


def _verdict(headline: run_view.Headline) -> list[RenderableType]:
    style = _STYLES.get(headline.verdict, "bold")
    first = Table.grid(padding=(0, 2))
    first.add_row(Text(headline.verdict, style=style), Text(headline.sentence))
    first.add_row(Text(), Text(headline.subject, style="dim"))
    lines: list[RenderableType] = [first]
    if headline.stopped:
        lines.append(hanging(Text("■", style=style), Text(headline.stopped)))
    lines += [hanging(Text("·"), Text(line)) for line in headline.lines]
    if headline.causes:
        lines += [hanging(Text("!", style=style), Text(cause)) for cause in headline.causes]
    if headline.cure:
        lines.append(hanging(Text("·"), Text(headline.cure)))
    if headline.objectives:
        grid = Table.grid(padding=(0, 2))
        for item in headline.objectives:
            mark, colour = _MARKS.get(item.verdict, ("?", "yellow"))
            shown_value = _OF_VERDICT.get(item.verdict, "was {}").format(item.value)
            grid.add_row(
                Text(f"  {mark}", style=colour),
                Text(item.text),
                Text(shown_value, style=colour),
                Text(f"n {item.n}", style="dim"),
            )
        lines.append(grid)
        lines.append(Padding(Text(_JUDGED, style="dim"), (0, 0, 0, 2), expand=False))
    return lines


def hanging(mark: Text, text: Text) -> Table:
    """`text` beside `mark`, its further lines below each other."""
    grid = Table.grid(padding=(0, 2))
    grid.add_row(Text("  ") + mark, text)
    return grid
