"""What was measured -> parts of `results.json`: stats, summaries, uploads, IM delivery, objectives. Pure."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from astrometer.api.metric_table import METRICS
from astrometer.measure.delivery import Delivery, Observed
from astrometer.measure.exchange_stats import Stats
from astrometer.measure.histogram import Histogram
from astrometer.measure.network_loss import network_json
from astrometer.measure.odd_streams import streams_json
from astrometer.measure.slo.objectives import ObjectiveResult
from astrometer.measure.slo.slo_parser import Unit
from astrometer.measure.tally import Tally
from astrometer.measure.uploads import DOWNLOAD, NAMES, compared, throughput, up_to_bytes

PERCENTS = (50, 90, 95, 99)


def stats_json(stats: Stats, excluded: Stats, duration_s: float) -> dict[str, Any]:
    """`turns` accounts for everything; all else is of the window alone."""
    ended = stats.outcomes.total()
    return {
        "turns": {
            "started": stats.started + excluded.started,
            "outcomes": dict(sorted((stats.outcomes + excluded.outcomes).items())),
            "excluded": excluded.started,
            "uncounted": 0 if stats.uncounted is None else stats.uncounted.outcomes.total(),
            "excluded_outcomes": dict(sorted(excluded.outcomes.items())),
            "resent": stats.resent + excluded.resent,
        },
        "throughput_per_s": stats.outcomes["ok"] / duration_s if duration_s else None,
        "goodput": {
            "good": stats.good,
            "per_s": stats.good / duration_s if duration_s else None,
            "share": stats.good / ended if ended else None,
        },
        "stalls": {**asdict(stats.stalls), "share": stats.stalls.share},
        "streams": streams_json(stats.streams),
        "network": network_json(stats),
        "tokens": dict(stats.tokens),
        "bytes": dict(stats.bytes),
        "metrics": {
            name: {**summary_json(stats.ok[name]), **_errors_json(stats, name)}
            for name in METRICS
            if name in stats.ok
        },
        "metrics_all_attempts": {
            name: summary_json(stats.attempts(name)) for name in METRICS if stats.missed[name]
        },
        "metrics_failed": {
            name: summary_json(stats.failed[name]) for name in METRICS if name in stats.failed
        },
    }


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


def summary_json(histogram: Histogram) -> dict[str, Any]:
    """Percentiles in seconds; null where withheld. A percentile among failures is the text "inf"."""
    return {
        "n": histogram.n,
        **{f"p{percent}": _finite(value) for percent, value in histogram.quantiles(PERCENTS).items()},
        "max": _finite(histogram.max),
        "histogram": histogram.encode(),
    }


def _errors_json(stats: Stats, name: str) -> dict[str, Any]:
    """How far each percentile may be from the truth, and the share of samples that are uncertain."""
    known = stats.bounds.get(name)
    if known is None:
        return {"error_s": None, "uncertain": 0.0}
    names = (*(f"p{percent}" for percent in PERCENTS), "max")
    errors_s = known.errors_s(stats.ok[name], (*PERCENTS, 100))
    return {
        "error_s": dict(zip(names, errors_s, strict=True)),
        "uncertain": known.uncertain / stats.ok[name].n,
    }


def _finite(value: float | None) -> float | str | None:
    return "inf" if value == math.inf else value


def objective_json(item: ObjectiveResult) -> dict[str, Any]:
    return {
        "text": item.objective.text,
        "scenario": item.objective.scenario,
        "metric": item.objective.metric,
        "percent": item.objective.percent,
        "operator": item.objective.operator,
        "unit": item.objective.unit.value,
        "verdict": item.verdict.value,
        "value": _finite(item.value),
        "limit": item.objective.limit,
        "n": item.n,
        "error_s": item.error_s if item.objective.unit is Unit.SECONDS else None,
    }
