"""What the history of states is made of: spells of layers, and counts of runs. No sockets, no clock.

A spell is a time in which a layer was in one state. A time without any, such as one without an exporter, is
neither up nor down.
"""

from dataclasses import dataclass

from astrometer.probing.status.layer_evidence import StateLayer
from astrometer.probing.status.state_by_layer import State

HOUR_S, DAY_S = 3600, 86400


@dataclass(slots=True, kw_only=True)
class Spell:
    """Epoch seconds. `reason`: the newest that was most frequent. `row`: its number in the file."""

    target: str
    layer: StateLayer
    state: State
    reason: str
    began: float
    ended: float
    row: int

    def within(self, since: float, until: float) -> float:
        return max(0.0, min(self.ended, until) - max(self.began, since))


@dataclass(slots=True, kw_only=True)
class RunCounts:
    """Runs of one target in a time. `server`, `llm`: failed on that side. `ttft_s`: the sum of `answers`."""

    judged: int = 0
    server: int = 0
    llm: int = 0
    skipped: int = 0
    answers: int = 0
    ttft_s: float = 0.0

    def add(self, more: "RunCounts") -> None:
        self.judged += more.judged
        self.server += more.server
        self.llm += more.llm
        self.skipped += more.skipped
        self.answers += more.answers
        self.ttft_s += more.ttft_s

    @property
    def uptime(self) -> float | None:
        """As the alert rules count it; None: nothing was judged."""
        return 1 - self.server / self.judged if self.judged else None
