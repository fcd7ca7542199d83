"""`capacity` of a results file -> sentences and rows that every report shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from astrometer.report import formatting, glossary

LATENCIES = ("ttft", "e2e", "duration")
PERCENTS = ((50, "p50"), (95, "p95"))
_WORDS = {"THIN": "pass?"}
_STYLES = {"PASS": "green", "FAIL": "red", "THIN": "dim green", "INVALID": "yellow"}
_SHOWN_OBJECTIVES = 3
NOTE = (
    "A step is a window of its own; pass? is nothing against this load, yet too few samples to say more; "
    "answers: those that came back in the window, per second; the other numbers are of what began in it, "
    "also of turns that ended after it."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """One window of the search."""

    number: int
    load: str
    verdict: str  # of the file
    word: str  # what people read
    n: int
    objectives: tuple[tuple[str, str, str], ...]  # (verdict, value, n) in the order of `titles`
    answers: str
    goodput: str
    note: str


def found(results: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The search of a run; None when it was none, or the file is older."""
    searched: Mapping[str, Any] | None = results.get("capacity")
    return searched


def load_text(searched: Mapping[str, Any], load: float) -> str:
    """`6 users`, `4.5/s`."""
    if searched["unit"] == "per_s":
        return f"{load:.4g}/s"
    return f"{formatting.count(round(load))} user" + ("" if load == 1 else "s")


def subject(results: Mapping[str, Any]) -> str | None:
    """The loads that were tried: `1 to 8 users`."""
    searched = found(results)
    if searched is None:
        return None
    loads = [step["load"] for step in searched["steps"]]
    if not loads:
        return "a search without a step"
    low, high = min(loads), max(loads)
    ends = load_text(searched, high)
    return f"search at {low:.4g} to {ends}" if low < high else f"search at {ends}"


def sentence(results: Mapping[str, Any]) -> str | None:
    """The answer; None when the run was no search."""
    searched = found(results)
    if searched is None:
        return None
    passing, failing = searched["highest_passing"], searched["lowest_failing"]
    holds = None if passing is None else load_text(searched, passing)
    breaks = None if failing is None else load_text(searched, failing)
    because = f" ({formatting.plain(searched['binding'])})" if searched["binding"] else ""
    if results["verdict"] == "INVALID":
        known = [f"{holds} passed" if holds else "nothing passed", f"{breaks} failed" if breaks else ""]
        return f"No answer that can be trusted: so far {', '.join(part for part in known if part)}."
    match searched["end"]:
        case "maximum":
            return f"It holds {holds}, the most that was to be tried."
        case "saturated":
            return f"It holds {holds}, and more load brings no more answers."
        case "minimum":
            return f"It breaks at {breaks} already{because}."
    return f"It holds {holds} and breaks at {breaks}{because}."


def lines(results: Mapping[str, Any]) -> list[str]:
    """What else there is to say of the answer; empty when the run was no search."""
    searched = found(results)
    if searched is None:
        return []
    said = []
    there = searched["at_highest_passing"]
    if there is not None and searched["highest_passing"] is not None:
        goodput = there["goodput"]
        parts = [
            f"{formatting.rate(there['throughput_per_s'])} answers",
            f"goodput {formatting.rate(goodput['per_s'])} ({formatting.share(goodput['share'])})",
        ]
        for metric in LATENCIES:
            summary = there["metrics"].get(metric)
            if summary is not None:
                title = glossary.metric(metric).title
                parts += [
                    f"{title} p{percent} {formatting.duration(summary[f'p{percent}'])}"
                    for percent, _ in PERCENTS
                    if summary[f"p{percent}"] is not None
                ]
        said.append(f"at {load_text(searched, searched['highest_passing'])}: {', '.join(parts)}")
    if searched["steps"]:
        said.append(_interval(searched))
    if searched["decline"] is not None:
        said.append(
            "a cliff: just below the edge nothing warns of it"
            if searched["decline"] == "cliff"
            else "a smooth decline: the objective is worn down, not broken at once"
        )
    peak = searched["peak"]
    if peak is not None:
        said.append(
            f"most answers: {formatting.rate(peak['completed_per_s'])}, "
            f"nearly as many from {load_text(searched, peak['load'])} on"
        )
    return said


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
    """The steps, for the terminal."""
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


def markdown(results: Mapping[str, Any], escape: Any) -> list[str]:
    """The lines of summary.md; `escape` makes text literal."""
    searched = found(results)
    if searched is None:
        return []
    said = [f"- {escape(line)}" for line in lines(results)]
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
            f"| {load_text(searched, load)} | {escape(words)} | {values} | {last.answers} | {last.goodput} |"
        )
    return [*said, "", *(body if by_load else []), ""]


def _row(searched: Mapping[str, Any], number: int, step: Mapping[str, Any]) -> StepRow:
    goodput = step["goodput"]
    return StepRow(
        number=number,
        load=load_text(searched, step["load"]),
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


def _interval(searched: Mapping[str, Any]) -> str:
    low, high = searched["interval"]["low"], searched["interval"]["high"]
    name = f"{searched['interval']['confidence']:.0%} interval"
    if low is None and high is None:
        return f"{name}: open at both ends, the samples are too few"
    if high is None:
        return f"{name}: {load_text(searched, low)} or more"
    if low is None:
        return f"{name}: below {load_text(searched, high)}"
    return f"{name}: from {load_text(searched, low)} to below {load_text(searched, high)}"
