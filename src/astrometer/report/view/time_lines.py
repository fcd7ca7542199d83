"""What percentiles do not say of a run's times -> a line each: how exact, what was far from usual or odd.

Each list is empty where there is nothing to say.
"""

from collections.abc import Mapping
from typing import Any

from astrometer.api.buffering import CURE, run_is_buffered
from astrometer.report import formatting, glossary

EXACT = "0.05 ms"  # a stamp of the kernel's; `astrometer calibrate` shows it
_EXACT_S = 0.00005
# What tables show; a scenario's own are in results.json.
_TOLD = {"ttft": "TTFTs", "chunk_gap": "chunk gaps", "e2e": "e2e times"}
_PERCENTS = ("p50", "p95", "p99")


def certainty_lines(results: Mapping[str, Any]) -> list[str]:
    """Empty where nothing was timed."""
    if not results["metrics"]:
        return []
    if results["generator"]["clock"] != "kernel":
        lag = formatting.duration(results["generator"]["loop_lag_p99_s"])
        return [
            f"Times are those of the load process, which was late by {lag} at p99 (no stamps of the kernel)"
        ]
    uncertain = [
        text for name, title in _TOLD.items() if (text := _uncertain(results["metrics"].get(name), title))
    ]
    if not uncertain:
        return [f"Times are exact to {EXACT}"]
    return [f"Times are exact to {EXACT}, but where this machine was late: {'; '.join(uncertain)}"]


def _uncertain(summary: Mapping[str, Any] | None, title: str) -> str:
    if summary is None or not summary["uncertain"]:
        return ""
    errors = summary["error_s"]
    share = f"{formatting.share(summary['uncertain'])} of {title} are uncertain"
    said = [
        f"{percent} by {formatting.duration(errors[percent])}"
        for percent in _PERCENTS
        if summary[percent] is not None and errors[percent] > _EXACT_S
    ]
    return f"{share} ({', '.join(said)})" if said else f"{share}, which changes no percentile"


# What nobody would look for in `results.json`, and what a percentile of TTFT or e2e may hide.
_HIDDEN = ("accept_time", "gate_wait", "tail", "overhead", "schedule_lag")
NOTABLE_S = 1.0
FAR_FROM_USUAL = 5.0  # times the median


def worst_lines(results: Mapping[str, Any]) -> list[str]:
    """`Longest: gate wait 50.3 s (p50 1.2 ms, n 31)`; empty when nothing was far from the usual."""
    found = [
        f"{glossary.metric(name).title} {formatting.duration(summary['max'])} "
        f"(p50 {formatting.duration(summary['p50'])}, n {formatting.count(summary['n'])})"
        for name in _HIDDEN
        if (summary := results["metrics"].get(name)) is not None and _is_notable(summary)
    ]
    return [f"Longest: {', '.join(found)}"] if found else []


def _is_notable(summary: Mapping[str, Any]) -> bool:
    most, usual = formatting.seconds(summary["max"]), formatting.seconds(summary["p50"])
    return most is not None and most >= NOTABLE_S and (usual is None or most >= FAR_FROM_USUAL * usual)


_SENTENCES = {
    "blank_lead": "{} of {} streams ({}) began with blanks: TTFT ends at the first visible character",
    "impossible_ttft": "{} of {} streams ({}) had their first token sooner than the server says that it had "
    "it: their TTFT and the server's TTFT do not go together, and they have no overhead",
    "buffered": "Warning: {} of {} streams ({}) were held back between AstrBot and here, so their times are "
    f"those of a proxy that buffers. Cure: {CURE}",
    "pushed": "{} of {} chats ({}) got messages that others pushed into them: those are left out",
}


def odd_stream_lines(results: Mapping[str, Any]) -> list[str]:
    """Empty when all was in order."""
    seen = results["streams"]
    return [
        sentence.format(
            *(formatting.count(seen[name][key]) for key in ("chats", "of")),
            formatting.share(seen[name]["share"]),
        )
        for name, sentence in _SENTENCES.items()
        if name in seen and (name != "buffered" or run_is_buffered(seen[name]["chats"], seen[name]["of"]))
    ]


def network_lines(results: Mapping[str, Any]) -> list[str]:
    """Empty where the system told nothing."""
    seen = results["network"]
    facts = [text for text in (_round_trips(results), _losses(seen)) if text]
    lines = [f"Network: {'; '.join(facts)}"] if facts else []
    slow = seen["slow_ttft"]
    if slow["lossy"]:
        n, lossy = formatting.count(slow["n"]), formatting.count(slow["lossy"])
        lines.append(
            f"{lossy} of {n} TTFTs above p99 had a lost or late segment: "
            "that may be the network's time, not the server's"
        )
    if behind := _held_back(results):
        lines.append(
            f"Warning: in {formatting.plural(behind, 'chat')} a load process found 64 KiB or more waiting; "
            "it was so far behind that it may have held the server back"
        )
    return lines


def _round_trips(results: Mapping[str, Any]) -> str:
    summary = results["metrics"].get("network_rtt")
    if summary is None:
        return ""
    said = [f"{key} {formatting.duration(summary[key])}" for key in _PERCENTS if summary[key] is not None]
    said.append(f"max {formatting.duration(summary['max'])}")
    return f"RTT {', '.join(said)} (n {formatting.count(summary['n'])})"


def _losses(seen: Mapping[str, Any]) -> str:
    if not seen["exchanges"]:
        return ""
    of_all = f"of {formatting.plural(seen['exchanges'], 'exchange')}"
    if not seen["lossy"]:
        return f"lost or late segments in none {of_all}"
    lossy, share = formatting.count(seen["lossy"]), formatting.share(seen["share"])
    return f"lost or late segments in {lossy} {of_all} ({share})"


def _held_back(results: Mapping[str, Any]) -> int:
    """Only chats: a download may well be read in whole blocks."""
    return sum(item["network"]["full_reads"] for item in results["operations"] if "ttft" in item["metrics"])


def uncounted_lines(results: Mapping[str, Any]) -> list[str]:
    """A note when an old AstrBot counted no tokens at all: then broken answers look like whole ones."""
    uncounted = results["turns"]["uncounted"]
    if not uncounted:
        return []
    count = f"{formatting.count(uncounted)} ok answers have no token count, like all other answers"
    return [f"{count}: up to AstrBot 4.26.0, an answer that the model cut off looks the same"]


def stall_lines(results: Mapping[str, Any]) -> list[str]:
    """How often streams stood still, in a sentence; empty when none did."""
    stalls = results["stalls"]
    if not stalls["turns"]:
        return []
    turns, streams = (formatting.count(stalls[key]) for key in ("turns", "streams"))
    n = formatting.plural(stalls["n"], "pause")
    longer, total = formatting.duration(results["stall_threshold_s"]), formatting.duration(stalls["total_s"])
    of_all = f"{turns} of {streams} streams ({formatting.share(stalls['share'])})"
    return [f"Stalls: {of_all} paused for more than {longer}: {n}, {total} in total"]
