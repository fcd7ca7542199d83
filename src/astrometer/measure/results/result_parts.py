"""What was measured -> parts of `results.json` that `stats_json` does not write. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from astrometer.im.queue_wait import QueueWaitKnown
from astrometer.measure.delivery import Delivery, Observed
from astrometer.measure.server_usage import COLUMNS, GAUGES, LOG_COLUMNS, ServerUsage
from astrometer.measure.slo.objectives import ObjectiveResult
from astrometer.measure.slo.slo_parser import Unit
from astrometer.measure.tally.exchange_stats import Stats, finite_json, stats_json, summary_json
from astrometer.measure.tally.tally import Tally
from astrometer.measure.tally.uploads import DOWNLOAD, NAMES, compared, throughput, up_to_bytes
from astrometer.measure.turns_at_once import PROVIDER_LIMIT, TurnsAtOnce


def window_outcomes(stats: Mapping[str, Any]) -> dict[str, int]:
    """How what began in the window ended, as objectives count it: without the ramp and the warm-up."""
    excluded = stats["turns"]["excluded_outcomes"]
    counted = {name: n - excluded.get(name, 0) for name, n in stats["turns"]["outcomes"].items()}
    return {name: n for name, n in counted.items() if n}


def window_started(cell: Mapping[str, Any]) -> int:
    """How many turns began in the window: those whose outcomes `window_outcomes` gives."""
    return int(cell["turns"]["started"] - cell["turns"]["excluded"])


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


_OF_BURST = ("sent", "delivered", "lost", "duplicates", "reordered")
_DELIVERED = (*_OF_BURST, "accepted", "delivered_though_failed")


def delivery_json(observed: Observed) -> dict[str, Any]:
    report = observed.report
    total, worst = report.total, report.worst_burst
    refused = observed.latency_refused is not None
    return {
        **{name: getattr(total, name) for name in _DELIVERED},
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
        **{name: getattr(burst, name) for name in _OF_BURST},
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


_MATCHED = "matched_by_"
_COUNTS = ("replies", "messages", "images", "segmented", "paused", "duplicates", "foreign")


def messenger_json(facts: Counter[str], link: Mapping[str, int] | None) -> dict[str, Any] | None:
    """`facts` of the questions of the window; `link`: what the links saw besides. None: no messenger."""
    if link is None:
        return None
    return {
        **{name: facts[name] for name in _COUNTS},
        "part_pause_s": facts["part_pause_ms"] / 1000,
        "queue": {known.value: facts[f"queue_{known.value}"] for known in QueueWaitKnown},
        "matched_by": {
            name.removeprefix(_MATCHED): count
            for name, count in sorted(facts.items())
            if name.startswith(_MATCHED)
        },
        "link": dict(sorted(link.items())),
    }


def provider_limit_json(
    at_once: TurnsAtOnce, model_most: int | None, start_s: float, end_s: float
) -> dict[str, Any]:
    """Of the window. `model_most`: requests that the model worked on at once; None: it was not asked."""
    at_limit_s = at_once.at_limit_s(start_s, end_s)
    reached = None
    if model_most is None:
        reached = "turns" if at_limit_s else None
    elif model_most >= PROVIDER_LIMIT:
        reached = "model"
    return {
        "requests": PROVIDER_LIMIT,
        "turns_most": at_once.most(start_s, end_s),
        "turns_at_limit_s": at_limit_s,
        "model_most": model_most,
        "reached": reached,
    }


def server_json(usage: ServerUsage | None) -> dict[str, Any] | None:
    """None: nobody knew the process."""
    if usage is None:
        return None
    last = usage.last
    known = last is not None and last.log_warnings is not None
    return {
        "pid": usage.pid,
        "listens": usage.listens,
        "samples": len(usage.window),
        "sampling_s": usage.sampling_s,
        "ended": None if usage.ended is None else asdict(usage.ended),
        "turns": usage.turns,
        "cpu_s": usage.cpu_s,
        "cpu_per_turn_s": usage.cpu_per_turn_s,
        "cpu_share": usage.cpu_share,
        "rss_growth_bytes": usage.rss_growth_bytes,
        "database_growth_bytes": usage.database_growth_bytes,
        "log": {"warnings": last.log_warnings, "errors": last.log_errors} if last and known else None,
        **{name: _levels(usage, name) for name in GAUGES},
        "series": {
            "t_s": [round(item.t_s, 3) for item in usage.samples],
            "turns": [item.turns for item in usage.samples],
            **{name: [getattr(item, name) for item in usage.samples] for name in (*COLUMNS, *LOG_COLUMNS)},
        },
    }


def _levels(usage: ServerUsage, name: str) -> dict[str, Any] | None:
    """At the begin and the end of the window, and the most in between. None: not known."""
    if not usage.window:
        return None
    begin, end = (getattr(item, name) for item in (usage.window[0], usage.window[-1]))
    most = usage.maxima.get(name)
    return None if begin is None and most is None else {"begin": begin, "end": end, "max": most}
