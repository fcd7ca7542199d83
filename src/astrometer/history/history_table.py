"""A history -> what `astrometer history` says in the terminal."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from astrometer.compare import change_text
from astrometer.history import history_view
from astrometer.history.run_groups import Order
from astrometer.history.run_history import GroupHistory, MetricSeries, RunHistory
from astrometer.report.table import hanging

MOST_POINTS = 40
MOST_COLUMNS = 5
_STYLES = {"better": "bold green", "worse": "bold red"}


def render(history: RunHistory) -> RenderableType:
    parts: list[RenderableType] = []
    for group in history.groups:
        if group.group.apart:
            parts.append(hanging(Text("kept apart", style="bold yellow"), Text(group.group.apart)))
        parts += [Text(history_view.subject(group), style="dim"), Text()]
        parts += [_table(group, history.order), Text(), *_changes(group), Text()]
    parts.append(Text(history_view.sentence(history), style="bold"))
    parts += [Text(note) for note in history_view.notes(history)]
    parts += [hanging(Text("left out", style="yellow"), Text(item.reason)) for item in history.left_out]
    parts.append(Text(history_view.method(history), style="dim"))
    return Group(*parts)


def _table(group: GroupHistory, order: Order) -> Table:
    columns = history_view.headlines(group, MOST_COLUMNS)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("version" if order is Order.VERSION else "run (UTC)", overflow="fold", min_width=16)
    for series in columns:
        head = history_view.SHORT.get(series.name, history_view.title(series))
        table.add_column(head, justify="right", overflow="fold")
    points = list(enumerate(group.group.points))
    if len(points) > MOST_POINTS:
        table.caption = f"The last {MOST_POINTS} of {len(points)}; --out writes all."
    for at, point in points[-MOST_POINTS:]:
        table.add_row(
            Text.assemble(history_view.place(point, order), "\n", (history_view.about(point, order), "dim")),
            *(_cell(series, at) for series in columns),
        )
    return table


def _cell(series: MetricSeries, at: int) -> Text:
    """The value; where another level begins, in which direction."""
    value = series.values[at]
    text = Text(change_text.value_text(None if value is None else value.value, series.unit))
    for change in series.changes:
        if change.at == at:
            mark = "▲" if (change.row.change or 0) > 0 else "▼"
            text = Text(f"{mark} {text.plain}", style=_STYLES[change.row.verdict.value])
    return text


def _changes(group: GroupHistory) -> list[RenderableType]:
    told: list[RenderableType] = []
    for line in history_view.change_lines(group):
        told.append(
            Text.assemble(
                (f"{line.title} {line.change}", _STYLES[line.verdict]), f"  {line.interval}  {line.verdict}"
            )
        )
        told += [Text(f"  {text}", style="dim") for text in (line.where, *line.differs)]
    return told
