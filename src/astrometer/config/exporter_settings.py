"""How many series the exporter has, its histogram boundaries, and how often one may ask for money. Frozen."""

from dataclasses import dataclass, field

from astrometer.measure.tally.histogram import DURATION_BUCKETS_S, GAP_BUCKETS_S, TTFT_BUCKETS_S

# Fifty targets with all bundled probes and some keys each have some 60,000.
MAX_SERIES = 100_000


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
