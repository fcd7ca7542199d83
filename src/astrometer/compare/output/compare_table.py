"""A comparison -> what `astrometer compare` says in the terminal."""

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from astrometer.compare.output.compare_view import FORCED, Line, Page, SideView, without_interval
from astrometer.report.table import hanging

STYLES = {
    "PASS": "bold green",
    "FAIL": "bold red",
    "CANNOT TELL": "bold yellow",
    "NOT COMPARABLE": "bold yellow",
    "NONE": "bold",
}
_VERDICT_STYLES = {"better": "green", "same": "", "worse": "bold red", "cannot tell": "yellow"}
_MARKS = {"PASS": ("✓", "green"), "FAIL": ("✗", "red"), "UNDECIDED": ("?", "yellow")}


def render(page: Page) -> RenderableType:
    """What `Console().print` shows. Of runs that must not be compared only why, unless forced."""
    parts: list[RenderableType] = [_side(side) for side in page.sides]
    if not page.reasons or page.forced:
        (_, everything), *scenarios = page.groups
        shown, untold = without_interval(everything)
        parts += [Text(), _table("metric", shown), *(Text(line, style="dim") for line in untold)]
        for scope, lines in scenarios:
            changed = [line for line in lines if line.verdict in {"better", "worse"}]
            parts += [Text(), _table(f"in {scope}", changed)] if changed else []
        if scenarios:
            parts += [Text("Single scenarios: only what is better or worse. --out writes all rows.", "dim")]
        parts.append(Text(page.method, style="dim"))
    parts += [Text(note, style="dim") for note in page.notes]
    parts += [Text(), *_verdict(page)]
    return Group(*parts)


def _side(side: SideView) -> Table:
    facts = dict(side.facts)
    grid = Table.grid()
    grid.add_row(
        Text(f"{side.role:<10}", style="bold"),
        Text.assemble(f"{side.version}  ", (f"{facts['runs']} ({facts['exchanges']})", "dim")),
    )
    return grid


def _table(first: str, lines: Sequence[Line]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column(first, overflow="fold", min_width=12)
    for title in ("baseline", "candidate", "change"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold", min_width=11)
    for line in lines:
        table.add_row(
            Text(line.title),
            Text.assemble(line.base, "\n", (f"n {line.base_n}", "dim")),
            Text.assemble(line.cand, "\n", (f"n {line.cand_n}", "dim")),
            Text.assemble((line.change, "bold"), "\n", (line.interval, "dim")),
            Text.assemble(
                (line.verdict, _VERDICT_STYLES[line.verdict]),
                *(("\n", (line.why, "dim")) if line.why else ()),
                *(("\n", (line.decided, "dim")) if line.decided else ()),
            ),
        )
    return table


def _verdict(page: Page) -> list[RenderableType]:
    style = STYLES[page.verdict]
    lines: list[RenderableType] = [
        Text.assemble((page.verdict, style), "  ", page.sentence),
        Text(f"{page.subject}", style="dim"),
    ]
    lines += [hanging(Text("!", style=style), Text(reason)) for reason in page.reasons]
    if page.forced:
        lines.append(Text(FORCED, style="yellow"))
    if not page.reasons or page.forced:
        lines.append(Text(f"{len(page.comparison.rows)} metrics: {page.counts}"))
    lines += [Text(line) for line in page.progress]
    for check in page.checks:
        mark, colour = _MARKS[check.verdict]
        lines.append(hanging(Text(mark, style=colour), Text.assemble(check.text, (f"  {check.why}", "dim"))))
    return lines
