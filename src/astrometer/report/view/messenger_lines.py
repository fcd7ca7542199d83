"""Messengers -> lines: how replies came back, their times without columns, and what became of pushes."""

from collections.abc import Mapping
from typing import Any

from astrometer.measure import delivery
from astrometer.report import formatting
from astrometer.report.view import run_view
from astrometer.report.view.time_columns import are_replies

_FOUND = {
    "quote": "by quotation",
    "nonce": "by nonce",
    "mention": "by mention",
    "outstanding": "as nobody else waited there",
    "order": "by order, which is a guess",
}
_STRAYS = "stray_"


def messenger_lines(results: Mapping[str, Any]) -> list[str]:
    """Empty without a messenger."""
    messenger = results["messenger"]
    if messenger is None:
        return []
    lines = [
        f"Replies of {formatting.plain(name)}: first {_times(stats, 'reply_first')}; "
        f"last {_times(stats, 'reply_last')}"
        for name, stats in results["scenarios"].items()
        if "reply_first" in stats["metrics"]
    ]
    if are_replies(run_view.scenario_rows(results)):
        lines = []  # the table has columns for them
    return [*lines, *_queue(results, messenger), *_found(messenger), *_oddities(messenger)]


def _times(stats: Mapping[str, Any], metric: str) -> str:
    shown = {percent: run_view.percentile(stats, metric, percent) for percent in (50, 95)}
    found = [item for item in shown.values() if item is not None]
    if found and all(item.withheld for item in found):
        return f"at most {found[0].text.removeprefix('≤ ')}"
    return ", ".join(f"p{percent} {item.text}" for percent, item in shown.items() if item is not None)


def _queue(results: Mapping[str, Any], messenger: Mapping[str, Any]) -> list[str]:
    """A chat is answered one question after the other; empty where nobody waited."""
    waited, not_told = messenger["queue"]["waited"], messenger["queue"]["not_told"]
    if not waited + not_told:
        return []
    behind = formatting.plural(not_told, "question")
    if not waited:
        return [f"Queue wait: not told of {behind} that waited behind others"]
    longest = results["metrics"].get("queue_wait", {}).get("max")
    times = _times(results, "queue_wait") or f"at most {formatting.duration(longest)}"
    rest = f"; not told of {formatting.count(not_told)}" if not_told else ""
    of = formatting.plural(waited, "question")
    return [f"Queue wait of {of} that waited behind others of the same chat: {times}{rest}"]


def _found(messenger: Mapping[str, Any]) -> list[str]:
    replies = messenger["replies"]
    if not replies:
        return []
    ways = [
        f"{formatting.count(count)} {_FOUND.get(way, formatting.plain(way))}"
        for way, count in messenger["matched_by"].items()
    ]
    each = f"{messenger['messages'] / replies:.1f}"
    parts = "" if each == "1.0" else f" ({each} messages each)"
    count = formatting.plural(replies, "reply", "replies")
    return [f"{count}{parts} matched to the questions: {', '.join(ways)}"]


def _segmented(messenger: Mapping[str, Any], segmented: int) -> str:
    """AstrBot's settings, so that nobody blames the model."""
    parts = f"{formatting.plural(segmented, 'reply', 'replies')} came in several messages"
    paused = messenger["paused"]
    if not paused:
        return f"{parts}, without pauses between them"
    each = ""
    if pause_s := messenger["part_pause_s"]:
        each = f", {formatting.duration(pause_s / paused)} a reply"
    return (
        f"{parts}, {formatting.count(paused)} of them with pauses of 1.5 s or more in between{each}: AstrBot "
        "makes these by design (segmented_reply, or streaming with realtime_segmenting). The time of the "
        "last reply has them, and the model is not to blame"
    )


def _oddities(messenger: Mapping[str, Any]) -> list[str]:
    lines = []
    if segmented := messenger["segmented"]:
        lines.append(_segmented(messenger, segmented))
    if images := messenger["images"]:
        lines.append(f"{formatting.plural(images, 'picture')} came: AstrBot may send long texts so (t2i)")
    link = messenger["link"]
    if lost := link.get("links_lost"):
        lines.append(f"Warning: the link to AstrBot was lost {formatting.plural(lost, 'time')}")
    if strays := {name: count for name, count in link.items() if name.startswith(_STRAYS)}:
        kinds = ", ".join(
            f"{formatting.plain(name.removeprefix(_STRAYS))} {formatting.count(count)}"
            for name, count in strays.items()
        )
        total = formatting.plural(sum(strays.values()), "message")
        lines.append(f"{total} of the bot belonged to no open question ({kinds})")
    guessed = sum(messenger["matched_by"].get(way, 0) for way in ("outstanding", "order"))
    if guessed and (extra := link.get(f"{_STRAYS}extra")):
        lines.append(
            f"Warning: {formatting.plural(extra, 'message')} came after an answer that was taken to be "
            "whole. Where somebody had asked again by then, such a message was taken for the next answer, "
            "which looks too fast: raise --reply-quiet, or switch reply_with_quote on"
        )
    return lines


ACCEPTANCE_ONLY = (
    "IM pushes: acceptance only. AstrBot may lose what it accepted; --im-sink shows what arrived."
)


_IM_COUNTS = (
    ("lost", "lost"),
    ("duplicates", "duplicates"),
    ("reordered", "in the wrong order"),
    ("delivered_though_failed", "delivered though reported as failed"),
    ("unexpected", "unexpected"),
    ("untracked", "not followed"),
)


_IM_ALWAYS = {"lost", "duplicates", "reordered"}


def im_lines(results: Mapping[str, Any]) -> list[str]:
    """What became of IM pushes, in sentences; empty when none were sent."""
    seen = results["im_delivery"]
    if seen is None or not seen["sent"]:
        pushed = any(item["operation"] == delivery.OPERATION for item in results["operations"])
        return [ACCEPTANCE_ONLY] if pushed else []
    facts = [
        f"{formatting.count(seen['delivered'])} of {formatting.count(seen['sent'])} delivered",
        *(
            f"{name} {formatting.count(seen[key])}"
            for key, name in _IM_COUNTS
            if seen[key] or key in _IM_ALWAYS
        ),
    ]
    lines = [f"IM delivery: {', '.join(facts)}"]
    latency, bursts = seen["latency"], seen["bursts"]
    if latency is None:
        lines.append(f"IM delivery latency: not known, {formatting.plain(seen['latency_refused'])}")
    else:
        parts = (f"{key} {formatting.duration(latency[key])}" for key in ("p50", "p95", "p99", "max"))
        lines.append(f"IM delivery latency: {', '.join(parts)} (n {formatting.count(latency['n'])})")
    worst = bursts["worst"]
    if worst is not None:
        slowest = worst["latency_max_s"]
        tail = f", slowest {formatting.duration(slowest)}" if slowest is not None else ""
        lines.append(
            f"IM bursts: {formatting.count(bursts['n'])}, {formatting.count(bursts['lossy'])} with losses; "
            f"worst: {formatting.count(worst['delivered'])} of {formatting.count(worst['sent'])} delivered"
            f"{tail}"
        )
    return lines
