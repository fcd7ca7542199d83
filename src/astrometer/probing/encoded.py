"""A registry -> its text, encoded once for all scrapes until something changes."""

from collections.abc import Callable
from time import perf_counter

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

# The process's own metrics change all the time: this late they may be.
FRESH_S = 1.0


class Encoded:
    """Thousands of series take tens of milliseconds, which the probes' event loop would be late."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float] = perf_counter) -> None:
        self._registry = registry
        self._clock = clock
        self._kept: dict[str, tuple[float, bytes]] = {}

    def stale(self) -> None:
        """A value changed."""
        self._kept.clear()

    def get(self, accept: str) -> tuple[bytes, str]:
        """Body and content type for an `Accept` header."""
        encode, content_type = choose_encoder(accept)
        at, body = self._kept.get(content_type, (0.0, b""))
        if not body or self._clock() - at > FRESH_S:
            body = encode(self._registry)
            self._kept = {content_type: (self._clock(), body), **self._others(content_type)}
        return body, content_type

    def _others(self, content_type: str) -> dict[str, tuple[float, bytes]]:
        others = {name: kept for name, kept in self._kept.items() if name != content_type}
        return others if len(others) < 8 else {}
