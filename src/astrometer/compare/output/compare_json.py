"""A comparison -> `compare.json`: the same as the page, for programs.

Durations in seconds, shares of one, growth in bytes per 1,000 turns. `unit` of a row: what its change is in.
"""

import math
from typing import Any

from astrometer.compare.change_verdict import ChangeRow
from astrometer.compare.comparable import ComparedRun
from astrometer.compare.output.compare_view import Page
from astrometer.measure.wilson import Interval

FILE_NAME = "compare.json"
SCHEMA_VERSION = 1


def to_json(page: Page) -> dict[str, Any]:
    """Infinity is the text "inf" or "-inf"; what is not known is null."""
    comparison = page.comparison
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": page.verdict,
        "comparable": not page.reasons,
        "reasons": list(page.reasons),
        "notes": list(page.notes),
        "margin": comparison.margin,
        "share_margin": comparison.share_margin,
        "baseline": [run_json(run) for run in comparison.base],
        "candidate": [run_json(run) for run in comparison.cand],
        "checks": [
            {"text": item.text, "verdict": str(item.verdict), "why": item.why} for item in page.checks
        ],
        "sequence": page.sequence.to_json() if page.sequence is not None else None,
        "rows": [row_json(row) for row in comparison.rows],
        "outcomes": [
            {
                "outcome": row.outcome,
                "baseline": row.base,
                "candidate": row.cand,
                "baseline_share": row.base_share,
                "candidate_share": row.cand_share,
                "baseline_interval": interval_json(row.base_interval),
                "candidate_interval": interval_json(row.cand_interval),
                "interval": interval_json(row.interval),
            }
            for row in comparison.outcomes
        ],
    }


def run_json(run: ComparedRun) -> dict[str, Any]:
    results = run.results
    return {
        "name": run.name,
        "verdict": results["verdict"],
        "version": results["target"]["version"],
        "url": results["target"]["url"],
        "start": results["window"]["start"],
    }


def row_json(row: ChangeRow) -> dict[str, Any]:
    return {
        "scenario": row.scope,
        "name": row.name,
        "unit": row.unit.value,
        "baseline": finite(row.base),
        "candidate": finite(row.cand),
        "baseline_n": row.base_n,
        "candidate_n": row.cand_n,
        "baseline_runs": [finite(value) for value in row.base_runs],
        "candidate_runs": [finite(value) for value in row.cand_runs],
        "change": finite(row.change),
        "interval": interval_json(row.interval),
        "margin": row.margin,
        "slower_share": row.superiority,
        "verdict": row.verdict.value,
        "why": row.why,
    }


def interval_json(interval: Interval | None) -> list[float | str | None] | None:
    return None if interval is None else [finite(value) for value in interval]


def finite(value: float | None) -> float | str | None:
    if value is None or math.isfinite(value):
        return value
    return "inf" if value > 0 else "-inf"
