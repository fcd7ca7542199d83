"""The exporter's metrics -> their tables in docs/reference/metrics.md: name, type, labels, help."""

from collections.abc import Iterator

from probe_tables import with_tables
from prometheus_client import CollectorRegistry

from astrometer.probing.exporter.metrics import ProbeMetrics, SelfMetrics


def filled(text: str) -> str:
    """The page with its tables made anew."""
    probes, own = CollectorRegistry(), CollectorRegistry()
    ProbeMetrics(probes)
    SelfMetrics(own)
    return with_tables(text, {"metrics of probes": rows(probes), "metrics of the exporter": rows(own)})


def rows(registry: CollectorRegistry) -> Iterator[tuple[str, ...]]:
    for metric in registry._collector_to_names:
        total = "_total" if metric._type == "counter" else ""
        labels = " ".join(f"`{label}`" for label in metric._labelnames)
        yield f"`{metric._name}{total}`", metric._type, labels, metric._documentation
