"""Metrics without a column of their own -> a line with the worst of each, where that tells something."""

from collections.abc import Mapping
from typing import Any

from astrometer.report import formatting, glossary

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
