"""What the server's process used -> lines for every report. Pure.

`Server: RSS 291.2 MB → 304.0 MB, +11.3 MB/1000 turns; CPU 81 ms per turn, 65 % of a core`.
"""

from collections.abc import Mapping
from typing import Any

from astrometer.measure.server_pulse import BLOCKED_S
from astrometer.report import formatting

_HOW = {"gone": "is gone", "restarted": "has ended, and its number is another's"}


def server_lines(results: Mapping[str, Any]) -> list[str]:
    """Empty where nobody knew the process."""
    server = results["server"]
    if server is None:
        return _pulse(results["pulse"])
    lines = []
    if ended := server["ended"]:
        how = _HOW.get(ended["how"], formatting.plain(ended["how"]))
        at = formatting.duration(ended["t_s"])
        lines.append(
            f"Warning: the server's process {how}, {at} after the run began; nothing is known of it since"
        )
    if server["rss_bytes"] is None:
        return [*lines, "Server: its process was not sampled in the window"]
    facts = [f"RSS {_levels(server['rss_bytes'])}{_growth(server['rss_growth_bytes'])}", *_cpu(server)]
    if server["cpu_per_turn_s"] is None and not ended:
        facts.append(f"too short to say more (n {formatting.count(server['turns'])})")
    return [*lines, f"Server: {'; '.join(facts)}", f"Server: {'; '.join(_more(server))}"]


def _pulse(pulse: Mapping[str, Any] | None) -> list[str]:
    """`Server: a cheap request each second: p50 3.1 ms, at most 230 ms; above 200 ms 2 of 60 times`."""
    if pulse is None or not pulse["n"] + pulse["failed"]:
        return []
    lines = []
    if pulse["restarts"]:
        times = formatting.plural(pulse["restarts"], "time")
        lines.append(f"Warning: the server restarted during the run ({times})")
    median = "" if pulse["p50_s"] is None else f"p50 {formatting.duration(pulse['p50_s'])}, "
    longest = "" if pulse["max_s"] is None else f"{median}at most {formatting.duration(pulse['max_s'])}; "
    of = formatting.plural(pulse["n"], "time")
    blocked = f"above {formatting.duration(BLOCKED_S)} {formatting.count(pulse['blocked'])} of {of}"
    failed = f"; {formatting.count(pulse['failed'])} failed" if pulse["failed"] else ""
    return [*lines, f"Server: a cheap request each second: {longest}{blocked}{failed}"]


def _cpu(server: Mapping[str, Any]) -> list[str]:
    share = server["cpu_share"]
    of_core = "" if share is None else f"{formatting.share(share)} of a core"
    if server["cpu_per_turn_s"] is None:
        return [f"CPU {of_core}"] if of_core else []
    turns = formatting.plural(server["turns"], "turn")
    return [f"CPU {formatting.duration(server['cpu_per_turn_s'])} per turn, {of_core} ({turns})"]


def _more(server: Mapping[str, Any]) -> list[str]:
    threads, files = server["threads"], server["open_files"]
    facts = [
        f"threads {threads['begin']} → {threads['end']}",
        f"open files {files['begin']} → {files['end']}",
    ]
    if server["database_bytes"] is not None:
        growth = _growth(server["database_growth_bytes"])
        facts.append(f"database {_levels(server['database_bytes'])}{growth}")
    if server["wal_bytes"] is not None:
        facts.append(f"WAL at most {formatting.size(server['wal_bytes']['max'])}")
    if server["log"] is not None:
        warnings = formatting.plural(server["log"]["warnings"], "warning")
        facts.append(f"log: {warnings}, {formatting.plural(server['log']['errors'], 'error')}")
    return facts


def _levels(levels: Mapping[str, Any]) -> str:
    begin, end, most = (formatting.size(levels[key] or 0) for key in ("begin", "end", "max"))
    return f"{begin} → {end}" if most == end else f"{begin} → {end} (at most {most})"


def _growth(value: float | None) -> str:
    return "" if value is None else f", {'+' if value >= 0 else ''}{formatting.growth(value)}"
