"""Slow exchanges and what they have in common -> what `astrometer explain` prints. Fits any width."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from astrometer.api.timings import CERTAIN_S
from astrometer.measure.records.in_common import MOST_BY_CHANCE, Common
from astrometer.measure.records.phases import ExchangePhase, Part, parts_of
from astrometer.measure.records.slow_exchanges import ENOUGH, Explanation
from astrometer.measure.records.traits import clock
from astrometer.report import formatting

MOST_SHOWN = 12
LEAST_SHARE = 0.01  # of an exchange: shorter parts of it have no words
_COLOURS = {
    ExchangePhase.LATE: "magenta",
    ExchangePhase.CONNECT: "blue",
    ExchangePhase.ACCEPT: "cyan",
    ExchangePhase.GATE: "yellow",
    ExchangePhase.OVERHEAD: "bright_red",
    ExchangePhase.MODEL: "green",
    ExchangePhase.FIRST: "green",
    ExchangePhase.ANSWER: "bright_green",
    ExchangePhase.TAIL: "bright_blue",
    ExchangePhase.BODY: "cyan",
    ExchangePhase.CALL: "green",
    ExchangePhase.QUEUE: "yellow",
    ExchangePhase.REPLY: "green",
    ExchangePhase.PARTS: "bright_green",
    ExchangePhase.NO_END: "red",
}
_NOTE = "Shares say where to look and prove no cause."


class Bar:
    """The parts of one exchange, as long as the width allows; the longest of all fills it."""

    def __init__(self, parts: list[Part], longest_s: float) -> None:
        self._parts = parts
        self._longest_s = longest_s

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        del console
        per_second = max(10, options.max_width - 1) / self._longest_s
        line, at_s, drawn = Text(no_wrap=True, overflow="crop"), 0.0, 0
        for phase, length_s in self._parts:
            at_s += length_s
            cells = round(at_s * per_second) - drawn
            line.append(phase.letter * cells, style=_COLOURS[phase])
            drawn += cells
        yield line


def render(found: Explanation) -> RenderableType:
    shown = [(took_s, row, parts_of(row)) for took_s, row in found.slowest]
    longest_s = max((sum(part.length_s for part in parts) for _, _, parts in shown), default=0.0) or 1.0
    lines: list[RenderableType] = [*_head(found), Text()]
    for number, (took_s, row, parts) in enumerate(shown, 1):
        lines += [
            _title(number, took_s, row),
            Padding(Bar(parts, longest_s), (0, 0, 0, 4)),
            *(Padding(text, (0, 0, 0, 4)) for text in (_lengths(row, parts), _names(row)) if text),
        ]
    used = {part.phase for _, _, parts in shown for part in _large(parts)}
    lines += [Text(), _legend([phase for phase in ExchangePhase if phase in used]), Text()]
    return Group(*lines, *_common(found))


def _head(found: Explanation) -> list[RenderableType]:
    what = "time" if found.metric is None else found.metric
    version = f", AstrBot {', '.join(found.versions)}" if found.versions else ""
    runs = f"{'run' if len(found.runs) == 1 else 'runs'} {', '.join(found.runs[:5])}"
    head = [
        Text(
            f"{formatting.count(found.n)} {formatting.plain(found.operation)} exchanges of "
            f"{formatting.plain(runs + version)}: {what} p50 {formatting.duration(found.p50_s)}, "
            f"p99 {formatting.duration(found.p99_s)}",
            style="bold",
        )
    ]
    if found.left_out:
        left_out = ", ".join(f"{formatting.count(n)} {formatting.plain(why)}" for why, n in found.left_out)
        head.append(Text(f"Left out: {left_out}", style="dim"))
    return [*head]


def _title(number: int, took_s: float, row: Mapping[str, Any]) -> Text:
    ok = row["outcome"] == "ok"
    parts = [f"at {clock(row['t_send_s'])}", f"user {row['user']}"]
    parts += [f"turn {row['turn']}"] if "turn" in row else []
    parts += [str(row["scenario"])]
    if lost := (row.get("retransmits") or 0) + (row.get("out_of_order") or 0):
        parts.append(f"{lost} lost or late segments")
    return Text.assemble(
        (f"{number:2}  ", "dim"),
        (f"{formatting.duration(took_s)}  ", "bold"),
        (formatting.plain(row["outcome"]), "green" if ok else "red"),
        f"  {formatting.plain(', '.join(parts))}",
    )


def _lengths(row: Mapping[str, Any], parts: list[Part]) -> Text:
    said = [f"{part.phase.words} {formatting.duration(part.length_s)}" for part in _large(parts)]
    if (gap_s := row.get("max_gap_s")) is not None:
        said.append(f"longest gap {formatting.duration(gap_s)}")
    e2e_s = row.get("e2e_s", 0.0)
    if (spread_s := row.get("e2e_high_s", e2e_s) - row.get("e2e_low_s", e2e_s)) > CERTAIN_S:
        said.append(f"known to {formatting.duration(spread_s)}")
    return Text(", ".join(said))


def _large(parts: list[Part]) -> list[Part]:
    """Those that can be seen."""
    whole_s = sum(part.length_s for part in parts)
    return [part for part in parts if part.length_s >= LEAST_SHARE * whole_s]


def _names(row: Mapping[str, Any]) -> Text:
    known = {"session": "session_id", "message": "message_id", "group": "group_id", "HTTP": "status"}
    said = [f"{words} {row[name]}" for words, name in known.items() if name in row]
    return Text(formatting.plain(", ".join(said)), style="dim")


def _legend(phases: list[ExchangePhase]) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    for phase in phases:
        grid.add_row(
            Text(phase.letter, style=_COLOURS[phase]), Text(phase.words), Text(phase.meaning, style="dim")
        )
    return grid


def _common(found: Explanation) -> list[RenderableType]:
    if found.n < ENOUGH:
        return [Text(f"Too few to compare: {found.n} exchanges, and {ENOUGH} are needed.")]
    slow = f"the {formatting.count(found.slow_n)} slowest ({formatting.duration(found.slow_from_s)} and more)"
    tested = f"{formatting.count(found.traits)} traits were looked at"
    if not found.common:
        return [Text(f"Nothing is in common among {slow} that chance would not explain; {tested}.")]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("in common", overflow="fold")
    for title in ("of the slow", "of all"):
        table.add_column(title, justify="right", no_wrap=True)
    for item in found.common[:MOST_SHOWN]:
        table.add_row(_trait(item), *(_share(*counts) for counts in _counts(item)))
    more = len(found.common) - MOST_SHOWN
    return [
        Text(f"More often among {slow} than among all:", style="bold"),
        table,
        *([Text(f"{more} more", style="dim")] if more > 0 else []),
        Text(
            f"{tested}. Where nothing has to do with slowness, {MOST_BY_CHANCE:.0%} of runs show a "
            f"line here. {_NOTE}",
            style="dim",
        ),
    ]


def _trait(item: Common) -> Text:
    name, value = item.trait
    return Text.assemble(f"{name} ", (formatting.plain(value), "bold"))


def _counts(item: Common) -> tuple[tuple[int, int], tuple[int, int]]:
    return (item.slow, item.slow_n), (item.everywhere, item.n)


def _share(count: int, n: int) -> Text:
    return Text.assemble(
        formatting.share(count / n), (f"\n{formatting.count(count)} of {formatting.count(n)}", "dim")
    )
