"""`ways.json` -> the rows and sentences of every report on it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from astrometer.report import formatting
from astrometer.report.view import capacity_view
from astrometer.ways.ways_statistics import WayVerdict

TITLES = ("capacity", "beside {}", "answers", "p50", "CPU a turn", "each search")
CHANGES = {
    WayVerdict.MORE: "holds more than {}",
    WayVerdict.FEWER: "holds fewer than {}",
    WayVerdict.SAME: "holds as many as {}",
    WayVerdict.CANNOT_TELL: "CANNOT TELL",
}
NOTE = (
    "Capacity and ratio with their 95 % intervals. answers and p50: successful answers per second, and the "
    "time until an answer was whole, at the highest load that passed. CPU a turn: of the server, over whole "
    "searches."
)
ONE_ROUND = (
    "One search of each way: what changed on the machine meanwhile looks like a difference. --rounds 2 "
    "searches each twice, in turn."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WayRow:
    """One way, ready to be shown."""

    way: str
    capacity: str
    interval: str
    ratio: str
    ratio_interval: str
    change: str
    answers: str
    p50: str
    cpu: str
    searches: str


def rows(answer: Mapping[str, Any]) -> list[WayRow]:
    return [_row(answer, way) for way in answer["ways"]]


def first(answer: Mapping[str, Any]) -> str:
    return str(answer["ways"][0]["way"])


def sentence(answer: Mapping[str, Any]) -> str:
    """The answer in a line."""
    if answer["interrupted"]:
        lead = "Interrupted; so far: "
    elif answer["verdict"] == "INVALID":
        lead = "Not every way has an answer that can be trusted: "
    else:
        lead = "What the server holds: "
    return f"{lead}{', '.join(_held(answer, way) for way in answer['ways'])}."


def subject(answer: Mapping[str, Any]) -> str:
    target = answer["target"] or {}
    version = target.get("version") or "of unknown version"
    objectives = ", ".join(answer["objectives"])
    return formatting.plain(
        f"{answer['scenario']} against {target.get('url', 'nobody')} · AstrBot {version} · {objectives} · "
        f"{formatting.plural(len(answer['order']), 'search', 'searches')}"
    )


def notes(answer: Mapping[str, Any]) -> list[str]:
    """What is to be known of it."""
    said = [ONE_ROUND] if answer["rounds"] == 1 else []
    spread = answer["search_spread"]
    if spread is not None:
        said.append(f"Searches of one way differed by {formatting.share(spread)} (standard deviation).")
    left_out: dict[str, list[str]] = {}  # searches, by why
    for item in (item for way in answer["ways"] for item in way["searches"] if item["verdict"] == "INVALID"):
        left_out.setdefault(item["reason"] or "INVALID", []).append(item["directory"])
    said += [
        formatting.plain(f"{', '.join(of_it)} {'does' if len(of_it) == 1 else 'do'} not count: {reason}")
        for reason, of_it in left_out.items()
    ]
    for way in answer["ways"]:
        if answer["objectives"] != way["objectives"]:
            said.append(formatting.plain(f"{way['way']}: judged by {', '.join(way['objectives'])}"))
    return said


def _row(answer: Mapping[str, Any], way: Mapping[str, Any]) -> WayRow:
    capacity, change = way["capacity"], way["change"]
    return WayRow(
        way=way["way"],
        capacity=_load(answer, capacity),
        interval=_sureness(way),
        ratio=_times(way["ratio"])
        if change is not None
        else formatting.WITHHELD
        if capacity is None
        else "1",
        ratio_interval="" if change is None else _between(way["ratio_interval"], _times),
        change="" if change is None else CHANGES[WayVerdict(change)].format(first(answer)),
        answers=formatting.rate(way["answers_per_s"]),
        p50=formatting.duration(way["answer_p50_s"]),
        cpu=formatting.duration(way["server_cpu_s_per_turn"]),
        searches=", ".join(_of_search(item) for item in way["searches"]) or formatting.WITHHELD,
    )


def _held(answer: Mapping[str, Any], way: Mapping[str, Any]) -> str:
    if way["capacity"] is not None:
        held = f"about {_load(answer, way['capacity'])} ({_sureness(way)})"
    else:
        held = _between(way["interval"]) or "not known"
    return f"{way['way']} {held}"


def _sureness(way: Mapping[str, Any]) -> str:
    """How far the capacity may be off; empty of a way without any."""
    between = _between(way["interval"])
    return between or ("too few windows to say" if way["capacity"] is not None else "")


def _load(answer: Mapping[str, Any], load: float | None) -> str:
    return formatting.WITHHELD if load is None else capacity_view.load_text(answer, load)


def _between(ends: Mapping[str, float | None], text: Callable[[float], str] = capacity_view.number) -> str:
    """Empty where neither end is known."""
    known = {name: text(end) for name, end in ends.items() if end is not None}
    match known:
        case {"low": low, "high": high}:
            return f"{low} to {high}"
        case {"low": low}:
            return f"at least {low}"
        case {"high": high}:
            return f"at most {high}"
    return ""


def _of_search(item: Mapping[str, Any]) -> str:
    if item["verdict"] == "INVALID":
        return "INVALID"
    if item["estimate"] is None:
        passed = item["highest_passing"]
        return formatting.WITHHELD if passed is None else f"≥ {capacity_view.number(passed)}"
    return capacity_view.number(item["estimate"])


def _times(value: float | None) -> str:
    return formatting.WITHHELD if value is None else f"×{value:.2f}"
