"""One window of a capacity search, as it was measured. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from astrometer.measure.capacity.next_load import StepVerdict
from astrometer.measure.slo.slo_parser import Objective
from astrometer.measure.slo.validity import Cause, GeneratorHealth
from astrometer.measure.tally.exchange_stats import Stats

NOTHING = Stats()


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchStep:
    """One window of a search. `stats`: its turns, all of them (None) and of scenarios judged on their own."""

    level: int
    start_s: float
    end_s: float
    verdict: StepVerdict
    stats: Mapping[str | None, Stats]
    completed: int  # good answers that came back in the window
    causes: Sequence[Cause] = ()  # why it is INVALID
    unfinished: int = 0  # turns that still ran when it was judged, and counted as bad
    turns_at_once: float | None = None  # open at once, on average; None: not counted
    health: GeneratorHealth = field(default_factory=GeneratorHealth)

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s

    @property
    def completed_per_s(self) -> float:
        return self.completed / self.length_s

    def stats_of(self, objective: Objective) -> Stats:
        return self.stats.get(objective.scenario, NOTHING)
