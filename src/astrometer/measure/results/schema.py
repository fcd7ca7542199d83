"""A results file of an older schema -> the same facts in today's. Nothing is invented: unknown is null.

A field that is only new needs no step here unless something reads it without asking.
"""

from collections.abc import Callable
from typing import Any

SCHEMA_VERSION = 2


def upgrade(results: dict[str, Any]) -> dict[str, Any]:
    """`schema_version` says afterwards what the file is now like; the file on disk stays as it is."""
    while (version := results["schema_version"]) in _STEPS:
        results = {**_STEPS[version](results), "schema_version": version + 1}
    return results


def _from_1(results: dict[str, Any]) -> dict[str, Any]:
    """2 says of every objective what it is about, judges stages, and knows of runs that were stopped."""
    return {
        **results,
        "stopped": None,
        "names": None,
        "profile": results.get("profile"),
        "objectives": [_objective_from_1(item) for item in results["objectives"]],
        "stages": [{"objectives": [], **stage} for stage in results.get("stages", ())],
    }


def _objective_from_1(item: dict[str, Any]) -> dict[str, Any]:
    """In schema 1 all there was stood in the text: `ttft_p95 < 2s`, `errors < 1%`."""
    name, operator, _ = _split(item["text"])
    metric, _, statistic = name.rpartition("_")
    is_share = item["text"].rstrip().endswith("%")
    return {
        **item,
        "scenario": None,
        "metric": name if is_share else metric,
        "percent": int(statistic[1:]) if not is_share and statistic[1:].isdecimal() else None,
        "operator": operator,
        "unit": "share" if is_share else "s",
    }


def _split(text: str) -> tuple[str, str, str]:
    for operator in ("<=", ">=", "<", ">"):
        name, found, limit = text.partition(operator)
        if found:
            return name.strip(), operator, limit.strip()
    return text, "", ""


_STEPS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1}
