"""One window of a capacity search, and why it may say nothing of the server. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from astrometer.measure.capacity.search import Told
from astrometer.measure.capacity.search_settings import SearchSettings
from astrometer.measure.slo.slo_parser import Objective
from astrometer.measure.slo.validity import held_up
from astrometer.measure.tally import Cell

NOTHING = Cell()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepHealth:
    """How the load generator did in one window: the worst of its processes."""

    loop_lag_p99_s: float | None = None
    cpu_max: float | None = None
    schedule_lag_p99_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One window of a search. `cells`: its turns, all of them (None) and of scenarios judged on their own."""

    level: int
    start_s: float
    end_s: float
    told: Told
    cells: Mapping[str | None, Cell]
    completed: int  # good answers that came back in the window
    causes: Sequence[str] = ()  # why it is INVALID
    unfinished: int = 0  # turns that still ran when it was judged, and counted as bad
    health: StepHealth = field(default_factory=StepHealth)

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s

    @property
    def completed_per_s(self) -> float:
        return self.completed / self.length_s

    def cell_of(self, objective: Objective) -> Cell:
        return self.cells.get(objective.scenario, NOTHING)


def spoilt(
    step: Step,
    settings: SearchSettings,
    objectives: Sequence[Objective],
    *,
    by_chance: bool = True,
    kinds: int = 1,
) -> list[str]:
    """What the load generator could not bear in this window, and a rate that it did not reach, in words.

    `by_chance`: arrivals are Poisson's; `kinds`: of users, each with a schedule of its own.
    """
    return held_up(
        step.health,
        objectives,
        arrived=step.cells[None].started,
        due=settings.load(step.level) * step.length_s if settings.is_rate else None,
        by_chance=by_chance,
        kinds=kinds,
    )
