"""`capacity` of a results file -> the answer in sentences and figures, the same in every report."""

import math
from collections.abc import Mapping
from typing import Any

from astrometer.api.metric_table import EXCHANGE_TIMES
from astrometer.report import formatting, glossary

LATENCIES = ("ttft", *EXCHANGE_TIMES)
PERCENTS = ((50, "p50"), (95, "p95"))
_MOST_FIGURES = 6
_ONE_EACH = 1.05  # exchanges per arrival: no more than chance
LONG_WINDOW = 100  # times an answer: docs/explanation/how-capacity-is-searched.md says what shorter ones do
ALL_LOADS = "The whole search: all loads together, overload included"


def found(results: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The search of a run; None when it was none."""
    searched: Mapping[str, Any] | None = results["capacity"]
    return searched


def load_text(searched: Mapping[str, Any], load: float) -> str:
    """`6 users`, `4.5 arrivals/s`: an arrival may be a conversation of several chats."""
    if searched["unit"] == "per_s":
        return f"{number(load)} arrivals/s"
    return formatting.plural(round(load), "user")


def number(load: float) -> str:
    """Three digits of a rate, all of a number of users."""
    return f"{load:,.0f}" if load >= 100 or load == int(load) else f"{load:.3g}"


def subject(results: Mapping[str, Any]) -> str | None:
    """The loads that were tried: `search at 1 to 8 users`."""
    searched = found(results)
    if searched is None:
        return None
    loads = [step["load"] for step in searched["steps"]]
    if not loads:
        return "a search without a step"
    low, high = min(loads), max(loads)
    ends = load_text(searched, high)
    return f"search at {number(low)} to {ends}" if low < high else f"search at {ends}"


def sentence(results: Mapping[str, Any]) -> str | None:
    """The answer; None when the run was no search."""
    searched = found(results)
    if searched is None:
        return None
    passing, failing = searched["highest_passing"], searched["lowest_failing"]
    holds = None if passing is None else load_text(searched, passing)
    breaks = None if failing is None else load_text(searched, failing)
    broken = f"; {formatting.plain(searched['binding'])} breaks first" if searched["binding"] else ""
    if results["verdict"] == "INVALID":
        known = [f"{holds} passed" if holds else "nothing passed", f"{breaks} failed" if breaks else ""]
        return f"No answer that can be trusted: so far {', '.join(part for part in known if part)}."
    limits = f" ({text})" if (text := _interval(searched)) else ""
    times = searched["times_busiest_hour"]
    own = f", {formatting.times(times)} your busiest hour" if times else ""
    match searched["end"]:
        case "maximum":
            return f"The server holds {holds}, the highest load that was tried{limits}{own}."
        case "saturated":
            return f"The server holds {holds}{limits}{own}; more load brings no more answers."
        case "minimum":
            return f"The server does not hold {breaks}, the lowest load{broken}."
    about = load_text(searched, searched["estimate"] or passing)
    return f"The server holds about {about}{limits}{own}{broken}."


def lines(results: Mapping[str, Any]) -> list[str]:
    """What else there is to say of the answer; empty when the run was no search."""
    searched = found(results)
    if searched is None:
        return []
    said = []
    windows = [_windows(searched, searched[key]) for key in ("highest_passing", "lowest_failing")]
    if any(windows):
        said.append(", ".join(part for part in windows if part))
    there = searched["at_highest_passing"]
    if there is not None and searched["highest_passing"] is not None:
        goodput = there["goodput"]
        parts = [
            f"{formatting.rate(there['throughput_per_s'])} answers",
            f"goodput {formatting.rate(goodput['per_s'])} ({formatting.share(goodput['share'])})",
        ]
        if (chats := _chats_per_arrival(searched, there)) is not None:
            parts.insert(0, f"{chats:.2f} exchanges per arrival")
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
        if (short := _short_windows(searched, there)) is not None:
            said.append(short)
    if (edge := _edge(searched)) is not None:
        said.append(edge)
    peak = searched["peak"]
    if peak is not None:
        most = (
            f"most answers: {formatting.rate(peak['completed_per_s'])} at {load_text(searched, peak['load'])}"
        )
        plateau = peak["plateau_from"]
        if plateau is not None and plateau < peak["load"]:
            most += f", and nearly as many at every load from {load_text(searched, plateau)} on"
        said.append(most)
    return said


def figures(results: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The numbers to take home from a search, all of its answer: (name, value, what is behind it)."""
    searched = found(results)
    if searched is None:
        return []
    taken = []
    held = searched["estimate"] or searched["highest_passing"]
    if held is not None and results["verdict"] == "PASS":
        taken.append(("capacity", load_text(searched, held), _interval(searched)))
        if times := searched["times_busiest_hour"]:
            taken.append(("your busiest hour", f"× {number(times)}", "of the workload"))
    there = searched["at_highest_passing"]
    if there is None:
        return taken
    at = f"at {load_text(searched, searched['highest_passing'])}"
    taken.append(("answers", formatting.rate(there["throughput_per_s"]), at))
    taken.append(("goodput", formatting.share(there["goodput"]["share"]), at))
    for metric in LATENCIES:
        for percent, key in PERCENTS:
            summary = there["metrics"].get(metric)
            if summary is not None and summary[key] is not None and len(taken) < _MOST_FIGURES:
                name = f"{glossary.metric(metric).title} p{percent}"
                taken.append((name, formatting.duration(summary[key]), at))
    return taken


def _interval(searched: Mapping[str, Any]) -> str:
    """`95 %: 28 to 37`; empty where no end is known."""
    low, high = (searched["interval"][key] for key in ("low", "high"))
    name = f"{searched['interval']['confidence'] * 100:.0f} %"
    if low is None and high is None:
        return f"{name}: too few windows to say" if searched["end"] == "converged" else ""
    if high is None:
        return f"{name}: at least {number(low)}"
    if low is None:
        return f"{name}: at most {number(high)}"
    return f"{name}: {number(low)} to {number(high)}"


def _trusted(searched: Mapping[str, Any], load: float | None) -> list[Mapping[str, Any]]:
    return [step for step in searched["steps"] if step["load"] == load and step["verdict"] != "INVALID"]


def _windows(searched: Mapping[str, Any], load: float | None) -> str:
    """`36 users passed in 2 of 3 windows`."""
    steps = _trusted(searched, load)
    if load is None or not steps:
        return ""
    failed = sum(step["verdict"] == "FAIL" for step in steps)
    passes = load == searched["highest_passing"]
    n = len(steps) - failed if passes else failed
    word = "passed" if passes else "failed"
    return f"{load_text(searched, load)} {word} in {n} of {formatting.plural(len(steps), 'window')}"


def _chats_per_arrival(searched: Mapping[str, Any], there: Mapping[str, Any]) -> float | None:
    """None where an arrival is one exchange, give or take chance, and of users."""
    arrivals = searched["highest_passing"] * there["duration_s"]
    if searched["unit"] != "per_s" or not arrivals:
        return None
    chats: float = there["turns"]["started"] / arrivals
    return chats if chats > _ONE_EACH else None


def _short_windows(searched: Mapping[str, Any], there: Mapping[str, Any]) -> str | None:
    """A queue that starts empty takes time to build up: short windows flatter a server."""
    halves = [formatting.seconds(there["metrics"].get(name, {}).get("p50")) for name in EXCHANGE_TIMES]
    turn_s = max((value for value in halves if value is not None), default=0.0)
    steps = _trusted(searched, searched["highest_passing"])
    window_s = sum(step["end_s"] - step["start_s"] for step in steps) / len(steps) if steps else math.inf
    if window_s >= LONG_WINDOW * turn_s:
        return None
    window, turn = formatting.duration(window_s), formatting.duration(turn_s)
    better = float(f"{LONG_WINDOW * turn_s:.2g}")
    return (
        f"windows of {window} are short beside answers of {turn} and may flatter the server: "
        f"--step-time {better:.0f}s is better"
    )


def _edge(searched: Mapping[str, Any]) -> str | None:
    """What changed between the two loads of the answer, in figures."""
    loads = [searched[key] for key in ("highest_passing", "lowest_failing")]
    if None in loads:
        return None
    words = {"cliff": "a cliff: ", "smooth": "a smooth decline: "}.get(searched["decline"] or "", "")
    parts = []
    bad = [_bad_share(searched, load) for load in loads]
    if None not in bad:
        shares = " to ".join(formatting.share(share) for share in bad)
        parts.append(f"bad exchanges {shares} ({_allowance(searched)})")
    steps = [_trusted(searched, load) for load in loads]
    if all(steps):
        rates = [sum(s["completed_per_s"] for s in at) / len(at) for at in steps]
        parts.append(f"{' to '.join(formatting.rate(rate) for rate in rates)} answers")
    return (
        f"{words}from {number(loads[0])} to {load_text(searched, loads[1])}: {', '.join(parts)}"
        if parts
        else None
    )


def _allowance(searched: Mapping[str, Any]) -> str:
    allowed = next(
        item["allowed"]
        for step in searched["steps"]
        for item in step["objectives"]
        if item["text"] == searched["binding"]
    )
    return f"{formatting.plain(searched['binding'])} allows {formatting.share(allowed)}"


def _bad_share(searched: Mapping[str, Any], load: float) -> float | None:
    items = [
        item
        for step in _trusted(searched, load)
        for item in step["objectives"]
        if item["text"] == searched["binding"]
    ]
    n = sum(item["n"] for item in items)
    return sum(item["bad"] for item in items) / n if n else None
