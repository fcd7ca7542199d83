"""Spells and counts of a time -> availability by layer, and outages. No sockets, no clock."""

import calendar
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from astrometer.probing.layer_evidence import StateLayer
from astrometer.probing.notify.incident_words import WHOSE, seen
from astrometer.probing.state_by_layer import State
from astrometer.probing.status.state_history import RunTotals, Spell

_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerTime:
    """Seconds of one layer. What is neither up nor down was not known: skipped, not asked, nobody there."""

    layer: StateLayer
    up_s: float
    down_s: float
    unknown_s: float
    runs: int

    @property
    def availability(self) -> float | None:
        """None: nothing is known."""
        known = self.up_s + self.down_s
        return self.up_s / known if known else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """One layer that failed. `open`: it still does, as far as is known."""

    layer: StateLayer
    reason: str
    began: float
    ended: float
    open: bool

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    @property
    def cause(self) -> str:
        return f"{WHOSE[self.layer]}: {seen(self.reason)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetTime:
    """One target."""

    target: str
    layers: tuple[LayerTime, ...]
    outages: tuple[Outage, ...]
    totals: RunTotals


def month_of(text: str) -> tuple[float, float]:
    """`2026-11` -> its first second and the one after its last (epoch, UTC). Raises ValueError."""
    if not _MONTH.fullmatch(text):
        raise ValueError(f"{text}: YYYY-MM expected, such as 2026-11")
    year, month = (int(part) for part in text.split("-"))
    began = datetime(year, month, 1, tzinfo=UTC).timestamp()
    return began, began + calendar.monthrange(year, month)[1] * 86400


def target_times(
    spells: Iterable[Spell],
    totals: Mapping[str, RunTotals],
    runs: Mapping[tuple[str, StateLayer], int],
    since: float,
    until: float,
) -> list[TargetTime]:
    """What is known of each target between two times."""
    by_target: dict[str, list[Spell]] = defaultdict(list)
    for spell in spells:
        by_target[spell.target].append(spell)
    return [
        TargetTime(
            target=target,
            layers=tuple(_layers(target, by_target[target], runs, since, until)),
            outages=tuple(outages_of(by_target[target], since, until)),
            totals=totals.get(target, RunTotals()),
        )
        for target in sorted({*by_target, *totals})
    ]


def _layers(
    target: str,
    spells: list[Spell],
    runs: Mapping[tuple[str, StateLayer], int],
    since: float,
    until: float,
) -> Iterable[LayerTime]:
    for layer in StateLayer:
        seconds: dict[bool, float] = {True: 0.0, False: 0.0}
        mine = [spell for spell in spells if spell.layer is layer]
        for spell in mine:
            if spell.state is not State.UNKNOWN:
                seconds[spell.state is not State.FAILING] += spell.within(since, until)
        if mine:
            yield LayerTime(
                layer=layer,
                up_s=seconds[True],
                down_s=seconds[False],
                unknown_s=max(0.0, until - since - seconds[True] - seconds[False]),
                runs=runs.get((target, layer), 0),
            )


def outages_of(spells: list[Spell], since: float, until: float) -> Iterable[Outage]:
    """An outage during which an exporter was restarted is one."""
    newest = max((spell.ended for spell in spells), default=until)
    by_layer: dict[StateLayer, list[Spell]] = defaultdict(list)
    for spell in spells:
        by_layer[spell.layer].append(spell)
    for layer, mine in by_layer.items():
        found: Outage | None = None
        for spell in mine:
            if spell.state is State.FAILING and spell.within(since, until):
                began = max(spell.began, since) if found is None else found.began
                found = Outage(
                    layer=layer,
                    reason=spell.reason,
                    began=began,
                    ended=min(spell.ended, until),
                    open=spell.ended >= min(newest, until),
                )
            elif found is not None and spell.state is not State.UNKNOWN:
                yield found
                found = None
        if found is not None:
            yield found
