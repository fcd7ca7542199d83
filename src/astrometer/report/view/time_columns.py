"""The rows of a table -> which times its columns show: of streams, or of replies in a messenger."""

from collections.abc import Sequence
from dataclasses import dataclass

from astrometer.report.view.run_view import ReportRow, Shown


@dataclass(frozen=True, slots=True)
class CellSign:
    """Of a time that is not what the head of its column says: `sign` beside it, `words` in Markdown."""

    sign: str = ""
    words: str = ""
    note: str = ""


_NONE = CellSign()
_CALL = CellSign("†", " (plain calls)", "duration of plain calls (no stream)")
_REPLY = CellSign("‡", " (last reply)", "to the last message of a reply in a messenger")


@dataclass(frozen=True, slots=True)
class TimeColumn:
    """`head` is two lines. `fields`: names of a row's percentiles, each with its mark."""

    head: tuple[str, str]
    fields: tuple[tuple[str, CellSign], ...]

    @property
    def title(self) -> str:
        return " ".join(self.head)

    def cells(self, row: ReportRow) -> list[tuple[Shown, CellSign]]:
        """Those that the row has."""
        found = ((getattr(row, name), mark) for name, mark in self.fields)
        return [(cell, mark) for cell, mark in found if cell is not None]


_STREAMS = (
    TimeColumn(("TTFT", "p50"), (("ttft_p50", _NONE),)),
    TimeColumn(("TTFT", "p95"), (("ttft_p95", _NONE),)),
    TimeColumn(("chunk", "gap p95"), (("chunk_gap_p95", _NONE),)),
    TimeColumn(("e2e", "p95"), (("e2e_p95", _NONE), ("reply_last_p95", _REPLY), ("duration_p95", _CALL))),
)
_REPLIES = (
    TimeColumn(("first", "reply p50"), (("reply_first_p50", _NONE),)),
    TimeColumn(("first", "reply p95"), (("reply_first_p95", _NONE),)),
    TimeColumn(("last", "reply p95"), (("reply_last_p95", _NONE), ("duration_p95", _CALL))),
)


def are_replies(rows: Sequence[ReportRow]) -> bool:
    """Whether people only wrote in a messenger, and nobody chatted over HTTP."""
    if any(row.ttft_p50 or row.e2e_p95 for row in rows):
        return False
    return any(row.reply_last_p95 for row in rows) or (bool(rows) and all(row.only_replies for row in rows))


def time_columns(rows: Sequence[ReportRow]) -> tuple[TimeColumn, ...]:
    """One set for all rows, so that a table fits into 80 columns."""
    return _REPLIES if are_replies(rows) else _STREAMS


def mark_notes(rows: Sequence[ReportRow]) -> list[str]:
    """What the signs in a table of these rows mean, a line each."""
    marks = {
        mark: None
        for column in time_columns(rows)
        for row in rows
        for _, mark in column.cells(row)
        if mark.sign
    }
    return [f"{mark.sign} {mark.note}" for mark in marks]
