"""`[exporter]` of the config -> how many series, which histogram boundaries, how often one may ask for money.

A limit that an objective names is always a boundary: only then can a rule count what was over it.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from astrometer.measure.slo.slo_parser import Objective, Unit
from astrometer.measure.tally.histogram import DURATION_BUCKETS_S, GAP_BUCKETS_S, TTFT_BUCKETS_S

if TYPE_CHECKING:
    from astrometer.config.tables import ExporterTable

# Fifty targets with all bundled probes and some keys each have some 60,000.
MAX_SERIES = 100_000
MOST_BUCKETS = 60
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """Upper boundaries of the histograms in seconds, ascending."""

    ttft_s: tuple[float, ...] = TTFT_BUCKETS_S
    gap_s: tuple[float, ...] = GAP_BUCKETS_S
    duration_s: tuple[float, ...] = DURATION_BUCKETS_S


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterSettings:
    """`min_interval_s` None: nine tenths of the probe's own interval."""

    max_series: int = MAX_SERIES
    min_interval_s: float | None = None
    buckets: Buckets = field(default_factory=Buckets)

    def reuse_s(self, interval_s: float) -> float:
        """For how long `/probe` answers from the last run of a probe that has a price."""
        # A pair of Prometheus with the probe's interval: the second one's scrape falls into it, and the first
        # one's next does not, whatever its jitter.
        return 0.9 * interval_s if self.min_interval_s is None else self.min_interval_s


def build(table: "ExporterTable", objectives: Iterable[Objective]) -> ExporterSettings:
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
