"""Questions in a messenger -> how replies came back, and their times where no table has columns for them."""

from collections.abc import Mapping
from typing import Any

from astrometer.report import formatting, view
from astrometer.report.time_columns import are_replies

_FOUND = {
    "quote": "by quotation",
    "nonce": "by nonce",
    "mention": "by mention",
    "outstanding": "as nobody else waited there",
    "order": "by order, which is a guess",
}
_STRAYS = "stray_"


def messenger_lines(results: Mapping[str, Any]) -> list[str]:
    """Empty without a messenger, and in an older file."""
    messenger = results.get("messenger")
    if messenger is None:
        return []
    lines = [
        f"Replies of {formatting.plain(name)}: first {_times(stats, 'reply_first')}; "
        f"last {_times(stats, 'reply_last')}"
        for name, stats in results["scenarios"].items()
        if "reply_first" in stats["metrics"]
    ]
    if are_replies(view.scenario_rows(results)):
        lines = []  # the table has columns for them
    return [*lines, *_found(messenger), *_oddities(messenger)]


def _times(stats: Mapping[str, Any], metric: str) -> str:
    shown = {percent: view.percentile(stats, metric, percent) for percent in (50, 95)}
    return ", ".join(f"p{percent} {item.text}" for percent, item in shown.items() if item is not None)


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


def _oddities(messenger: Mapping[str, Any]) -> list[str]:
    lines = []
    if segmented := messenger["segmented"]:
        lines.append(
            f"{formatting.plural(segmented, 'reply', 'replies')} came in parts: the pauses between them are "
            "AstrBot's (segmented_reply, or streaming), not the model's"
        )
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
    return lines
