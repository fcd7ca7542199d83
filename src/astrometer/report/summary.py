"""A results file -> `summary.md`: the verdict and one table, small enough for a CI step or a pull request."""

import re
from collections.abc import Mapping
from typing import Any

from astrometer.report import formatting
from astrometer.report.view import capacity_steps, other_requests_view, run_view, uploads_view
from astrometer.report.view.notes import notes
from astrometer.report.view.time_columns import time_columns

FILE_NAME = "summary.md"
# GitHub takes 65,536 characters in a comment; with hundreds of scenarios the rest is in report.html.
MAX_ROWS = 60
_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+!|~&])")
_MARKS = {"PASS": "✅", "FAIL": "❌", "INVALID": "⚠️", "DRIFTING": "⚠️", "NONE": "ℹ️", "NO_DATA": "⚠️"}


def render_summary(results: Mapping[str, Any]) -> str:
    head = run_view.headline(results)
    rows = run_view.scenario_rows(results)
    lines = [f"### {_mark(head.verdict)} astrometer: {text(head.verdict)}", "", text(head.subject), ""]
    lines += [head.sentence, ""] if head.sentence else []
    lines += [f"**{text(head.stopped)}**", ""] if head.stopped else []
    lines += [f"- {text(cause)}" for cause in head.causes]
    lines += [""] if head.causes else []
    lines += [text(head.cure), ""] if head.cure else []
    if head.objectives:
        lines += ["| objective | verdict | was | limit | n |", "|---|---|--:|--:|--:|"]
        lines += [
            f"| {text(item.text)} | {_mark(item.verdict)} {text(item.verdict)} "
            f"| {item.value} | {text(item.limit)} | {item.n} |"
            for item in head.objectives
        ]
        lines.append("")
    lines += capacity_steps.markdown(results, text)
    lines += _table(rows, "scenario") if rows else ["Nothing was started.", ""]
    stages = run_view.stage_rows(results)
    lines += _table(stages, "stage") if stages else []
    lines += _by_stage(run_view.stage_objectives(results))
    by_size = uploads_view.rows(results)
    lines += _upload_table(by_size) if by_size else []
    facts = [
        *notes(results),
        *(f"{other_requests_view.TITLE}: {line}" for line in other_requests_view.lines(results)),
    ]
    lines += [f"- {text(line)}" for line in facts]
    lines += [""] if facts else []
    for note in (run_view.withheld_note([*rows, *stages, *by_size]), run_view.excluded_note(results)):
        lines += [f"<sub>{text(note)}</sub>", ""] if note is not None else []
    return "\n".join(lines)


def text(value: str) -> str:
    """Text from outside as literal Markdown: it can neither format, nor hold HTML, nor end a cell."""
    return _SPECIAL.sub(r"\\\1", formatting.plain(value))


def _table(rows: list[run_view.ReportRow], first: str) -> list[str]:
    times = time_columns(rows)
    lines = [
        f"| {first} | turns | outcomes | {' | '.join(column.title for column in times)} | goodput |",
        f"|---|--:|---|{'--:|' * len(times)}--:|",
    ]
    kept = rows if len(rows) <= MAX_ROWS else [*rows[: MAX_ROWS - 1], rows[-1]]
    for row in kept:
        cells = (
            text(row.name),
            formatting.count(row.started),
            text(row.outcomes_text),
            *("<br>".join(_cell(cell, mark.words) for cell, mark in column.cells(row)) for column in times),
            f"{row.goodput_rate} ({row.goodput_share})",
        )
        lines.append(f"| {' | '.join(cells)} |")
    left_out = len(rows) - len(kept)
    return [*lines, "", *([f"{left_out} more {first}s are in report.html.", ""] if left_out else [])]


def _upload_table(rows: list[uploads_view.UploadRow]) -> list[str]:
    lines = [
        "| uploads of | n | outcomes | throughput p50 | p5 | accept p50 | accept p95 | duration p95 |",
        "|---|--:|---|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        cells = (row.throughput_p50, row.throughput_p5, row.accept_p50, row.accept_p95, row.duration_p95)
        counted = (text(row.size), formatting.count(row.counts.started), text(row.counts.outcomes_text))
        lines.append(f"| {' | '.join([*counted, *(_cell(cell) for cell in cells)])} |")
    return [*lines, ""]


def _by_stage(stages: list[tuple[str, tuple[run_view.Judged, ...]]]) -> list[str]:
    """Each objective in each stage; the mark says the verdict."""
    if not stages:
        return []
    titles = [text(item.text) for item in stages[0][1]]
    lines = [f"| objectives by stage | {' | '.join(titles)} |", f"|---|{'--:|' * len(titles)}"]
    for name, items in stages[:MAX_ROWS]:
        cells = (f"{_mark(item.verdict)} {item.value} <sub>n {item.n}</sub>" for item in items)
        lines.append(f"| {text(name)} | {' | '.join(cells)} |")
    return [*lines, ""]


def _cell(cell: run_view.Shown | None, note: str = "") -> str:
    return "" if cell is None else f"{cell.text}{note} <sub>n {formatting.count(cell.n)}</sub>"


def _mark(verdict: str) -> str:
    return _MARKS.get(verdict, "")
