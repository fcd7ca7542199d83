"""Ended spells and runs of one target, as they come -> its hours, days and outages: no page counts anew.

What a spell adds to an hour or a day never changes once it has ended; a page adds the spells that go on.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from astrometer.probing.status.layer_evidence import StateLayer
from astrometer.probing.status.sla import Outage, OutageJoiner, clipped
from astrometer.probing.status.spells import DAY_S, HOUR_S, RunCounts, Spell
from astrometer.probing.status.state_by_layer import State

RECENT_S = 31 * DAY_S
MOST_STARTS = 1000
KEPT_PARTS = {HOUR_S: 25, DAY_S: 31}
# Of a part the worst: failing comes before all, and what nobody knows after what somebody does.
_RANK = {None: 0, State.UNKNOWN: 1, State.OK: 2, State.DEGRADED: 3, State.FAILING: 4}


@dataclass(slots=True, kw_only=True)
class HistoryPart:
    """An hour or a day. `state`: the worst of any layer; None: not watched. `failing`: seconds by layer."""

    state: State | None = None
    failing: dict[StateLayer, float] = field(default_factory=dict)
    runs: RunCounts = field(default_factory=RunCounts)

    def add(self, spell: Spell, since: float, until: float) -> None:
        if _RANK[spell.state] > _RANK[self.state]:
            self.state = spell.state
        if spell.state is State.FAILING:
            known = self.failing.get(spell.layer, 0.0)
            self.failing[spell.layer] = known + spell.within(since, until)


class TargetPast:
    """The last 24 hours and 30 days of one target."""

    def __init__(self) -> None:
        self._parts: dict[int, dict[int, HistoryPart]] = {step_s: {} for step_s in KEPT_PARTS}
        self._outages: list[Outage] = []
        self._joiners: dict[StateLayer, OutageJoiner] = {}
        self._starts: set[float] = set()

    def add(self, spell: Spell, now: float) -> None:
        """A spell that has ended; those of a layer come in order."""
        for step_s, parts in self._parts.items():
            first = max(int(spell.began // step_s), int(now // step_s) - KEPT_PARTS[step_s])
            for number in range(first, int(spell.ended // step_s) + 1):
                start = number * step_s
                parts.setdefault(start, HistoryPart()).add(spell, start, start + step_s)
        over = self._joiners.setdefault(spell.layer, OutageJoiner()).add(spell)
        if over is not None:
            self._outages.append(over)

    def count(self, hour: int, runs: RunCounts) -> None:
        """Runs that ended in that hour."""
        for step_s, parts in self._parts.items():
            parts.setdefault(hour // step_s * step_s, HistoryPart()).runs.add(runs)

    def add_start(self, at: float) -> bool:
        """AstrBot was started then, by its own clock. Whether that is new."""
        if at in self._starts:
            return False
        self._starts.add(at)
        if len(self._starts) > MOST_STARTS:
            self._starts.remove(min(self._starts))
        return True

    def starts(self, since: float) -> tuple[float, ...]:
        """Newest first: the last one, and those before that were after `since`."""
        found = sorted(self._starts, reverse=True)
        return (*found[:1], *(at for at in found[1:] if at >= since))

    def parts(self, step_s: int, starts: list[int], going: Iterable[Spell]) -> list[HistoryPart]:
        """Of these times, with the spells that go on. `starts`: without gaps."""
        kept = self._parts[step_s]
        parts = []
        for start in starts:
            part = kept.get(start) or HistoryPart()
            parts.append(HistoryPart(state=part.state, failing=dict(part.failing), runs=part.runs))
        for spell in going:
            first = max(0, int((spell.began - starts[0]) // step_s))
            last = min(len(starts) - 1, int((spell.ended - starts[0]) // step_s))
            for index in range(first, last + 1):
                parts[index].add(spell, starts[index], starts[index] + step_s)
        return parts

    def outages(self, since: float, now: float, going: Iterable[Spell]) -> list[Outage]:
        """Newest first."""
        found = [outage for outage in self._outages if outage.ended > since]
        joiners = {layer: OutageJoiner(joiner.current) for layer, joiner in self._joiners.items()}
        for spell in going:
            over = joiners.setdefault(spell.layer, OutageJoiner()).add(spell)
            found += [over] if over is not None else []
        for spell in going:
            current = joiners[spell.layer].current
            if current is not None and spell.state is State.FAILING:
                joiners[spell.layer].current = replace(current, open=True)
        found += [joiner.current for joiner in joiners.values() if joiner.current is not None]
        found = [clipped(outage, since, now) for outage in found if outage.ended > since]
        layers = list(StateLayer)
        return sorted(found, key=lambda one: (-one.began, layers.index(one.layer)))

    def prune(self, now: float) -> None:
        for step_s, parts in self._parts.items():
            oldest = (int(now // step_s) - KEPT_PARTS[step_s]) * step_s
            for start in [start for start in parts if start < oldest]:
                del parts[start]
        self._outages = [outage for outage in self._outages if outage.ended > now - RECENT_S]
