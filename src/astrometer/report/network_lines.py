"""What the kernel said of the connections of a run -> lines for every report. Pure.

`Network: RTT p50 0.21 ms, p95 0.40 ms, max 3.1 ms (n 1,000); lost or late segments in 3 of 1,000 exchanges`.
"""

from collections.abc import Mapping
from typing import Any

from astrometer.report import formatting

_PERCENTS = ("p50", "p95", "p99")


def network_lines(results: Mapping[str, Any]) -> list[str]:
    """Empty where the system told nothing, and of older files."""
    seen = results.get("network")
    if not seen:
        return []
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
