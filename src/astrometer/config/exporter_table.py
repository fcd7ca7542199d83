"""`[exporter]` of the config -> settings of the exporter.

A limit that an objective names is always a boundary: only then can a rule count what was over it.
"""

import math
from collections.abc import Iterable

from astrometer.config.exporter_settings import Buckets, ExporterSettings
from astrometer.config.tables import ExporterTable
from astrometer.measure.slo.slo_parser import Objective, Unit
from astrometer.measure.tally.histogram import DURATION_BUCKETS_S, GAP_BUCKETS_S, TTFT_BUCKETS_S

# Which histogram shows what an objective is about.
HISTOGRAM_OF = {
    "ttft": "ttft",
    "ttft_text": "ttft",
    "accept_time": "ttft",
    "chunk_gap": "gap",
    "max_gap": "gap",
    "e2e": "duration",
    "turn_time": "duration",
    "duration": "duration",
}


def build(table: ExporterTable, objectives: Iterable[Objective]) -> ExporterSettings:
    """Raises ValueError for an objective whose limit the file's own boundaries leave out."""
    objectives = list(objectives)
    own = table.buckets
    buckets = Buckets(
        ttft_s=_bounds("ttft", own.ttft, TTFT_BUCKETS_S, objectives),
        gap_s=_bounds("gap", own.gap, GAP_BUCKETS_S, objectives),
        duration_s=_bounds("duration", own.duration, DURATION_BUCKETS_S, objectives),
    )
    return ExporterSettings(max_series=table.max_series, min_interval_s=table.min_interval, buckets=buckets)


def _bounds(
    name: str, own: list[float] | None, default: tuple[float, ...], objectives: list[Objective]
) -> tuple[float, ...]:
    bounds = list(default if own is None else own)
    for objective in objectives:
        if objective.unit is not Unit.SECONDS or HISTOGRAM_OF.get(objective.metric) != name:
            continue
        if any(math.isclose(bound, objective.limit) for bound in bounds):
            continue
        if own is not None:
            raise ValueError(
                f"buckets.{name}: {objective.limit:g} is no boundary, but the objective {objective.text!r} "
                f"needs it: add {objective.limit:g}"
            )
        bounds.append(objective.limit)
    return tuple(sorted(bounds))
