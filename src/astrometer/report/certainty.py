"""How exactly the times of a run are known -> one line, beside its percentiles.

`Times are exact to 0.05 ms, but where this machine was late: 0.2 % of chunk gaps are uncertain (p99 by ...)`
"""

from collections.abc import Mapping
from typing import Any

from astrometer.report import formatting

EXACT = "0.05 ms"  # a stamp of the kernel's; `astrometer calibrate` shows it
_EXACT_S = 0.00005
# What tables show; a scenario's own are in results.json.
_TOLD = {"ttft": "TTFTs", "chunk_gap": "chunk gaps", "e2e": "e2e times"}
_PERCENTS = ("p50", "p95", "p99")


def certainty_lines(results: Mapping[str, Any]) -> list[str]:
    """Empty for a file from before the kernel stamped, and where nothing was timed."""
    clock = results["generator"].get("clock")
    if clock is None or not results["metrics"]:
        return []
    if clock != "kernel":
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
    errors = None if summary is None else summary.get("error_s")
    if summary is None or not errors or not summary["uncertain"]:
        return ""
    share = f"{formatting.share(summary['uncertain'])} of {title} are uncertain"
    said = [
        f"{percent} by {formatting.duration(errors[percent])}"
        for percent in _PERCENTS
        if summary[percent] is not None and errors[percent] > _EXACT_S
    ]
    return f"{share} ({', '.join(said)})" if said else f"{share}, which changes no percentile"
