"""One cheap request a second beside the load -> was the server blocked? Pure.

It tells single blocks of the server's event loop. It is no gauge of saturation: AstrBot answers it in
milliseconds while chats wait for seconds.
"""

from dataclasses import dataclass, field
from typing import Any

from astrometer.measure.tally.histogram import Histogram

BLOCKED_S = 0.2  # above what checking an API key holds the loop up


@dataclass(slots=True)
class ServerPulse:
    """Of the window. `restarts`: how often the time since which the server runs has changed."""

    times: Histogram = field(default_factory=Histogram)
    failed: int = 0
    blocked: int = 0
    restarts: int = 0

    def add(self, duration_s: float) -> None:
        self.times.record(duration_s)
        self.blocked += duration_s > BLOCKED_S

    def to_json(self) -> dict[str, Any]:
        return {
            "n": self.times.n,
            "failed": self.failed,
            "blocked": self.blocked,
            "restarts": self.restarts,
            "p50_s": self.times.quantile_or_none(50),
            "p95_s": self.times.quantile_or_none(95),
            "max_s": self.times.max,
        }
