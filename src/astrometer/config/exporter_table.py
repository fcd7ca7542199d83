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
    """The limits of the objectives are boundaries."""
    bounds = {"ttft": TTFT_BUCKETS_S, "gap": GAP_BUCKETS_S, "duration": DURATION_BUCKETS_S}
    for objective in objectives:
        name = HISTOGRAM_OF.get(objective.metric)
        if name is None or objective.unit is not Unit.SECONDS:
            continue
        if not any(math.isclose(bound, objective.limit) for bound in bounds[name]):
            bounds[name] = tuple(sorted((*bounds[name], objective.limit)))
    buckets = Buckets(ttft_s=bounds["ttft"], gap_s=bounds["gap"], duration_s=bounds["duration"])
    return ExporterSettings(max_series=table.max_series, min_interval_s=table.min_interval, buckets=buckets)
