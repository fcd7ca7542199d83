"""`capacity` of a results file -> a row for each window of the search: terminal, HTML and Markdown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from astrometer.report import formatting
from astrometer.report.view import capacity_view
from astrometer.report.view.capacity_view import found, load_text, number

_WORDS = {"THIN": "pass?"}
_STYLES = {"PASS": "green", "FAIL": "red", "THIN": "dim green", "INVALID": "yellow"}
_SHOWN_OBJECTIVES = 3
NOTE = (
    "Each step is one window. pass?: no objective failed, but there are too few samples to say PASS. "
    "answers: successful answers that came back in the window, per second. All other columns count exchanges "
    "that began in the window."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    number: int
    load: str
    verdict: str  # of the file
    word: str  # what people read
    n: int
    objectives: tuple[tuple[str, str, str], ...]  # (verdict, value, n) in the order of `titles`
    answers: str
    goodput: str
    note: str


def titles(searched: Mapping[str, Any]) -> list[str]:
    """The objectives that a table of steps has columns for."""
    steps = searched["steps"]
    return (
        [formatting.plain(item["text"]) for item in steps[0]["objectives"][:_SHOWN_OBJECTIVES]]
        if steps
        else []
    )


def rows(results: Mapping[str, Any]) -> list[StepRow]:
    """A row for each step, in the order of time."""
    searched = found(results)
    return (
        [_row(searched, number, step) for number, step in enumerate(searched["steps"], 1)] if searched else []
    )


def table(results: Mapping[str, Any]) -> Table | None:
    searched = found(results)
    if searched is None or not searched["steps"]:
        return None
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    made.add_column("step", justify="right", no_wrap=True)
    made.add_column("load", justify="right", no_wrap=True)
    made.add_column("verdict", no_wrap=True)
    for title in titles(searched):
        made.add_column(Text(title), justify="right", overflow="fold")
    made.add_column("answers", justify="right", no_wrap=True)
    made.add_column("goodput", justify="right", no_wrap=True)
    for row in rows(results):
        cells = [
            Text.assemble((value, "red" if verdict == "FAIL" else ""), "\n", (f"n {n}", "dim"))
            for verdict, value, n in row.objectives
        ]
        made.add_row(
            str(row.number),
            Text(row.load, style="bold"),
            Text(row.word, style=_STYLES.get(row.verdict, "")),
            *cells,
            row.answers,
            row.goodput,
        )
    return made


def markdown(results: Mapping[str, Any], escape: Callable[[str], str]) -> list[str]:
    """The lines of summary.md; `escape` makes text literal."""
    searched = found(results)
    if searched is None:
        return []
    said = [f"- {escape(line)}" for line in capacity_view.lines(results)]
    heads = titles(searched)
    by_load: dict[float, list[StepRow]] = {}
    for step, row in zip(searched["steps"], rows(results), strict=True):
        by_load.setdefault(step["load"], []).append(row)
    body = [
        f"| load | windows | {' | '.join(escape(title) for title in heads)} | answers | goodput |",
        f"|--:|---|{'--:|' * len(heads)}--:|--:|",
    ]
    for load in sorted(by_load):
        windows = by_load[load]
        last = windows[-1]
        values = " | ".join(f"{value} <sub>n {n}</sub>" for _, value, n in last.objectives)
        words = ", ".join(row.word for row in windows)
        body.append(
            f"| {_load(searched, load)} | {escape(words)} | {values} | {last.answers} | {last.goodput} |"
        )
    return [*said, "", *(body if by_load else []), ""]


def _row(searched: Mapping[str, Any], number: int, step: Mapping[str, Any]) -> StepRow:
    goodput = step["goodput"]
    return StepRow(
        number=number,
        load=_load(searched, step["load"]),
        verdict=step["verdict"],
        word=_WORDS.get(step["verdict"], step["verdict"]),
        n=step["turns"]["started"],
        objectives=tuple(
            (item["verdict"], _value(item), formatting.count(item["n"]))
            for item in step["objectives"][:_SHOWN_OBJECTIVES]
        ),
        answers=formatting.rate(step["completed_per_s"]),
        goodput=formatting.rate(goodput["per_s"]),
        note="; ".join(formatting.plain(cause["sentence"]) for cause in step["causes"]),
    )


def _value(item: Mapping[str, Any]) -> str:
    if "%" in item["text"] and item["value"] is not None:
        return formatting.share(item["value"])
    return formatting.duration(item["value"])


def _load(searched: Mapping[str, Any], load: float) -> str:
    """Narrow, for a column."""
    return f"{number(load)}/s" if searched["unit"] == "per_s" else load_text(searched, load)
