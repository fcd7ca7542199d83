"""A registry -> its text, encoded once for all scrapes until something changes."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from astrometer.probing.exporter.exposition import Exposition

# The process's own metrics change all the time: this late they may be.
FRESH_S = 1.0
MOST_FORMATS = 4  # a scraper may ask for what it likes


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
        """A value changed."""
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
