"""Our pages are, byte for byte, those of prometheus_client, and written no more often than they must be."""

import random
from collections.abc import Iterator

import pytest
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    Summary,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily

from astrometer.probing.exporter.exposition import FRESH_S, MOST_FORMATS, Encoded

FORMATS = [
    "",
    "text/plain;version=0.0.4",
    "text/plain;version=1.0.0;escaping=allow-utf-8",
    "application/openmetrics-text;version=1.0.0",
    "application/openmetrics-text;version=1.0.0;escaping=dots",
    "application/openmetrics-text;version=1.0.0;escaping=values,text/plain;q=0.1",
]


class Metrics:
    """One of every kind that the library has, with labels that want escaping, and values of every shape."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("target", "probe")
        self.counter = Counter("runs_total", "Runs\nof \\ probes.", labels, registry=self.registry)
        self.gauge = Gauge("level", 'A "level".', labels, registry=self.registry)
        self.lonely = Gauge("lonely", "Without labels.", registry=self.registry)
        self.histogram = Histogram(
            "took_seconds", "Time.", labels, buckets=(0.1, 5, 1e7), registry=self.registry
        )
        self.summary = Summary("size_bytes", "Size.", labels, registry=self.registry)
        Info("build", "Build.", registry=self.registry).info({"version": "1.0"})
        Enum("state", "State.", states=["up", "down"], registry=self.registry).state("down")
        Gauge("empty", "Nothing yet.", labels, registry=self.registry)
        Gauge("asked", "Asked when read.", registry=self.registry).set_function(lambda: 42)
        self.registry.register(Foreign())

    def change(self, rng: random.Random) -> None:
        names = ("one", 'with "quotes"', "back\\slash", "line\nbreak", "ünï – 机器人", "a b c", "#")
        place = rng.choice(names), rng.choice(names)
        self.counter.labels(*place).inc(rng.choice([1, 0.5, 1e9]), exemplar={"id": "x y"})
        self.gauge.labels(*place).set(
            rng.choice([0, -1, 1e-9, 1e21, 123456789.5, float("inf"), -float("inf"), float("nan")])
        )
        self.lonely.set(rng.random())
        self.histogram.labels(*place).observe(rng.choice([0.05, 1, 1e9]), {"session_id": "s-1"})
        self.summary.labels(*place).observe(rng.random())
        if rng.random() < 0.3:
            self.gauge.remove(*place)


class Foreign:
    """A collector that is none of the library's metrics."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily("foreign", "Of somebody else.", labels=["a"])
        family.add_metric(["b"], 3, timestamp=12.5)
        yield family


@pytest.mark.parametrize("accept", FORMATS)
def test_a_page_is_what_the_library_writes_while_series_come_change_and_go(accept: str) -> None:
    metrics, rng = Metrics(), random.Random(7)
    encoded = Encoded(metrics.registry)
    encode, content_type = choose_encoder(accept)
    for _ in range(40):  # (the series `_created` are off, in the whole program)
        assert encoded.get(accept) == (encode(metrics.registry), content_type)
        metrics.change(rng)
        encoded.stale()


def test_the_series_of_a_process_are_left_to_the_library() -> None:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    body, _ = Encoded(registry).get("")
    assert b"# TYPE" in body


class Counting:
    """Counts how often it was read."""

    def __init__(self) -> None:
        self.now = 100.0
        self.read = 0
        registry = CollectorRegistry()
        registry.register(self)
        self.encoded = Encoded(registry, clock=lambda: self.now)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        self.read += 1
        yield GaugeMetricFamily("read", "How often.", value=self.read)

    def describe(self) -> list[GaugeMetricFamily]:
        return []


def test_a_page_serves_all_scrapes_until_a_value_changes_or_a_second_is_over() -> None:
    counting = Counting()
    for _ in range(100):
        counting.encoded.get("")
    assert counting.read == 1
    counting.encoded.stale()
    counting.encoded.get("")
    assert counting.read == 2
    counting.now += FRESH_S + 0.01
    counting.encoded.get("")
    assert counting.read == 3


def test_a_scraper_that_asks_for_ever_new_formats_fills_no_memory() -> None:
    counting = Counting()
    for number in range(50):
        counting.encoded.get(f"application/openmetrics-text;version={number + 1}.0.0")
    assert len(counting.encoded._formats) == MOST_FORMATS


def test_a_series_that_is_gone_is_forgotten() -> None:
    registry = CollectorRegistry()
    gauge = Gauge("level", "A level.", ("target",), registry=registry)
    encoded = Encoded(registry)
    for number in range(200):
        gauge.labels(f"t{number}").set(1)
        encoded.stale()
        encoded.get("")
        gauge.remove(f"t{number}")
    (kept,) = encoded._formats.values()
    assert len(kept.exposition._beginnings) <= 1
