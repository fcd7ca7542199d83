"""What was measured -> parts of `results.json`: uploads, IM delivery, objectives. Pure."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from astrometer.measure.delivery import Delivery, Observed
from astrometer.measure.exchange_stats import Stats, finite_json, stats_json, summary_json
from astrometer.measure.slo.objectives import ObjectiveResult
from astrometer.measure.slo.slo_parser import Unit
from astrometer.measure.tally import Tally
from astrometer.measure.uploads import DOWNLOAD, NAMES, compared, throughput, up_to_bytes


def window_outcomes(stats: Mapping[str, Any]) -> dict[str, int]:
    """How what began in the window ended, as objectives count it: without the ramp and the warm-up.

    A file from before `excluded_outcomes` has only all of them.
    """
    excluded = stats["turns"].get("excluded_outcomes", {})
    counted = {name: n - excluded.get(name, 0) for name, n in stats["turns"]["outcomes"].items()}
    return {name: n for name, n in counted.items() if n}


def window_started(cell: Mapping[str, Any]) -> int:
    """How many turns began in the window: those whose outcomes `window_outcomes` gives."""
    turns = cell["turns"]
    return int(turns["started"] - (turns["excluded"] if "excluded_outcomes" in turns else 0))


def uploads_json(tally: Tally, window_s: float) -> dict[str, Any] | None:
    """By size; None when nothing was uploaded in the window."""
    if not tally.sizes:
        return None
    downloads: Counter[str] = Counter()
    for book in (tally.counted, tally.excluded):
        for key, stats in book.items():
            if key.operation == DOWNLOAD:
                downloads.update(stats.outcomes)
    return {
        **compared(downloads),
        "sizes": [
            {
                "name": NAMES[number],
                "up_to_bytes": up_to_bytes(number),
                "throughput_bytes_per_s": throughput(stats.ok["upload_pace"]),
                **stats_json(stats, Stats(), window_s),
            }
            for number, stats in sorted(tally.sizes.items())
        ],
    }


def delivery_json(observed: Observed) -> dict[str, Any]:
    report = observed.report
    total, worst = report.total, report.worst_burst
    refused = observed.latency_refused is not None
    return {
        "sent": total.sent,
        "accepted": total.accepted,
        "delivered": total.delivered,
        "lost": total.lost,
        "delivered_though_failed": total.delivered_though_failed,
        "duplicates": total.duplicates,
        "reordered": total.reordered,
        "unexpected": report.unexpected,
        "untracked": observed.untracked,
        "latency": None if refused else summary_json(total.latency),
        "latency_refused": observed.latency_refused,
        "bursts": {
            "n": len(report.bursts),
            "lossy": sum(burst.lost > 0 for burst in report.bursts.values()),
            "worst": None if worst is None else _burst(worst, None if refused else observed.t_start),
        },
    }


def _burst(burst: Delivery, t_start: float | None) -> dict[str, Any]:
    """`t_start` None: the clocks cannot be compared."""
    return {
        "t_s": None if t_start is None or burst.t_first is None else burst.t_first - t_start,
        "sent": burst.sent,
        "delivered": burst.delivered,
        "lost": burst.lost,
        "duplicates": burst.duplicates,
        "reordered": burst.reordered,
        "latency_max_s": None if t_start is None else burst.latency.max,
    }


def objective_json(item: ObjectiveResult) -> dict[str, Any]:
    return {
        "text": item.objective.text,
        "scenario": item.objective.scenario,
        "metric": item.objective.metric,
        "percent": item.objective.percent,
        "operator": item.objective.operator,
        "unit": item.objective.unit.value,
        "verdict": item.verdict.value,
        "value": finite_json(item.value),
        "limit": item.objective.limit,
        "n": item.n,
        "error_s": item.error_s if item.objective.unit is Unit.SECONDS else None,
    }
