"""The candidate's blocks -> each `--slo`, judged on all of them together: one block has too few samples."""

from collections.abc import Mapping, Sequence
from typing import Any

from astrometer.measure.results.result_parts import objective_json
from astrometer.measure.server_usage import MIN_SAMPLES, MIN_TURNS, MIN_TURNS_GROWTH
from astrometer.measure.slo.objectives import ObjectiveResult, result_of
from astrometer.measure.slo.slo_parser import Objective, Unit, parse_objectives
from astrometer.measure.tally.histogram import Histogram


def pooled_objectives(blocks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    texts = [item["text"] for item in blocks[0]["objectives"]]
    return [
        objective_json(_pooled(objective, [block["objectives"][place] for block in blocks], blocks))
        for place, objective in enumerate(parse_objectives(texts))
    ]


def _pooled(
    objective: Objective, judged: Sequence[Mapping[str, Any]], blocks: Sequence[Mapping[str, Any]]
) -> ObjectiveResult:
    n = sum(item["n"] for item in judged)
    if objective.unit is Unit.SHARE:
        counted = sum(item["value"] * item["n"] for item in judged if item["value"] is not None)
        return result_of(objective, counted / n if n else None, n)
    if objective.unit is Unit.PER_SECOND:
        return result_of(objective, n / sum(block["window"]["duration_s"] for block in blocks), n)
    if objective.unit.is_of_server:
        return _of_server(objective, [block["server"] for block in blocks])
    histogram = Histogram()
    error_s = 0.0
    for block in blocks:
        stats = block["scenarios"].get(objective.scenario, {}) if objective.scenario else block
        ok = stats.get("metrics", {}).get(objective.metric)
        tried = stats.get("metrics_all_attempts", {}).get(objective.metric) or ok
        if tried is not None:
            histogram.merge(Histogram.decode(tried["histogram"]))
        if ok is not None and ok["error_s"] is not None:
            error_s = max(
                error_s, ok["error_s"]["max" if objective.percent is None else f"p{objective.percent}"] or 0.0
            )
    value = histogram.max if objective.percent is None else histogram.quantile_or_none(objective.percent)
    return result_of(objective, value, histogram.n, error_s)


def _of_server(objective: Objective, parts: Sequence[Mapping[str, Any] | None]) -> ObjectiveResult:
    """CPU and growth of all blocks by the turns of all; none where a process was not watched to the end."""
    known = [part for part in parts if part is not None and part["rss_bytes"] and not part["ended"]]
    turns = sum(part["turns"] for part in known)
    is_cpu = objective.unit is Unit.CPU_PER_TURN
    is_enough = turns >= (MIN_TURNS if is_cpu else MIN_TURNS_GROWTH)
    if len(known) < len(parts) or sum(part["samples"] for part in known) < MIN_SAMPLES or not is_enough:
        return result_of(objective, None, turns)
    if is_cpu:
        return result_of(objective, sum(part["cpu_s"] for part in known) / turns, turns)
    grown = sum(part["rss_bytes"]["end"] - part["rss_bytes"]["begin"] for part in known)
    return result_of(objective, 1000 * grown / turns, turns)
