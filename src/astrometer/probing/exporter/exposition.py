"""A registry -> its pages as prometheus_client writes them, at a fraction of the cost, and seldom.

A scrape may take 50 ms. For thousands of series the library's own encoders take longer (bench/RESULTS.md).

Of a line everything but the value stays: it is written once, by prometheus_client itself, and kept as long as
its series. What is no ordinary metric of that library is left to it altogether.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter
from typing import Any
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Metric, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

Encode = Callable[[Collector], bytes]
# The process's own metrics change all the time: this late they may be.
FRESH_S = 1.0
MOST_FORMATS = 4  # a scraper may ask for what it likes
_number = lru_cache(maxsize=4096)(floatToGoString)  # zeros and small counts, most of them
_END = "# EOF\n"  # of OpenMetrics


class _Families:
    """Families to be written by the library."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


class Exposition:
    """Writes pages with `encode`, one of the functions that `choose_encoder` gives."""

    def __init__(self, encode: Encode) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they would be families of their own
        self._encode = encode
        self._ends = self._written([]) == _END
        self._heads: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self._beginnings: WeakKeyDictionary[Any, list[str]] = WeakKeyDictionary()  # of each series' lines

    def page(self, registry: CollectorRegistry) -> bytes:
        with registry._lock:
            collectors = list(registry._collector_to_names)
        parts = [part for collector in collectors for part in self._parts(collector)]
        return "".join([*parts, _END if self._ends else ""]).encode()

    def _parts(self, collector: Any) -> Iterator[str]:
        if not isinstance(collector, MetricWrapperBase):
            yield self._without_end(self._written(collector.collect()))
            return
        head = self._heads.get(collector)
        if head is None:
            head = self._heads[collector] = self._without_end(self._written(collector.describe()))
        yield head
        for labels, child in _series(collector):
            samples = list(child._child_samples())
            beginnings = self._beginnings.get(child)
            if beginnings is None:
                bare = [sample._replace(exemplar=None) for sample in samples]
                lines = self._lines(collector, labels, bare)
                beginnings = self._beginnings[child] = [f"{line.rpartition(' ')[0]} " for line in lines]
            for beginning, sample in zip(beginnings, samples, strict=True):
                if sample.exemplar is not None and self._ends:
                    yield f"{self._lines(collector, labels, [sample])[0]}\n"
                else:
                    yield f"{beginning}{_number(sample.value)}\n"

    def _lines(
        self, collector: MetricWrapperBase, labels: dict[str, str], samples: Sequence[Any]
    ) -> list[str]:
        family = next(iter(collector.describe()))
        for sample in samples:
            family.add_sample(
                family.name + sample.name,
                {**labels, **sample.labels},
                sample.value,
                sample.timestamp,
                sample.exemplar,
            )
        return [line for line in self._written([family]).split("\n") if line and not line.startswith("#")]

    def _written(self, families: Iterable[Metric]) -> str:
        return self._encode(_Families(families)).decode()

    def _without_end(self, text: str) -> str:
        return text.removesuffix(_END) if self._ends else text


def _series(collector: MetricWrapperBase) -> list[tuple[dict[str, str], Any]]:
    """Each series of a metric, and its labels."""
    if not collector._labelnames:
        return [({}, collector)]
    with collector._lock:
        children = list(collector._metrics.items())
    return [(dict(zip(collector._labelnames, values, strict=True)), child) for values, child in children]


@dataclass(slots=True)
class _Format:
    exposition: Exposition
    at: float = 0.0
    body: bytes = b""


class Encoded:
    """`/metrics` of one registry, in each format that was asked for lately."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float] = perf_counter) -> None:
        self._registry = registry
        self._clock = clock
        self._formats: OrderedDict[str, _Format] = OrderedDict()

    def stale(self) -> None:
        for kept in self._formats.values():
            kept.body = b""

    def get(self, accept: str) -> tuple[bytes, str]:
        """Body and content type for an `Accept` header."""
        encode, content_type = choose_encoder(accept)
        kept = self._formats.setdefault(content_type, _Format(Exposition(encode)))
        self._formats.move_to_end(content_type)
        if len(self._formats) > MOST_FORMATS:
            self._formats.popitem(last=False)
        if not kept.body or self._clock() - kept.at > FRESH_S:
            kept.at = self._clock()
            kept.body = kept.exposition.page(self._registry)
        return kept.body, content_type
