"""Spells and counts of a time -> availability by layer, and outages. No sockets, no clock."""

import calendar
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from astrometer.probing.notify.incident_words import WHOSE, seen
from astrometer.probing.status.layer_evidence import StateLayer
from astrometer.probing.status.spells import RunCounts, Spell
from astrometer.probing.status.state_by_layer import State
from astrometer.units import utc
from astrometer.user_error import UserError

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
    """One layer that failed. `open`: it still does, as far as is known; `seen_well`: it worked afterwards."""

    layer: StateLayer
    reason: str
    began: float
    ended: float
    open: bool = False
    seen_well: bool = False

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    @property
    def cause(self) -> str:
        text = f"{WHOSE[self.layer]}: {seen(self.reason)}"
        return text[0].upper() + text[1:]

    @property
    def end(self) -> str:
        if self.open:
            return f"{utc(self.ended)}, not over"
        return utc(self.ended) if self.seen_well else f"{utc(self.ended)}, then not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetTime:
    target: str
    layers: tuple[LayerTime, ...]
    outages: tuple[Outage, ...]
    totals: RunCounts


def month_of(text: str) -> tuple[float, float]:
    """`2026-11` -> its first second and the one after its last (epoch, UTC). Raises UserError."""
    if not _MONTH.fullmatch(text):
        raise UserError(f"{text}: YYYY-MM expected, such as 2026-11")
    year, month = (int(part) for part in text.split("-"))
    began = datetime(year, month, 1, tzinfo=UTC).timestamp()
    return began, began + calendar.monthrange(year, month)[1] * 86400


def target_times(
    spells: Iterable[Spell],
    totals: Mapping[str, RunCounts],
    runs: Mapping[tuple[str, StateLayer], int],
    since: float,
    until: float,
) -> list[TargetTime]:
    """What is known of each target between two times."""
    by_target: dict[str, list[Spell]] = defaultdict(list)
    for spell in spells:
        by_target[spell.target].append(spell)
    # When an exporter was last there: what had ended before then is probed no more.
    newest = max((spell.ended for mine in by_target.values() for spell in mine), default=until)
    return [
        TargetTime(
            target=target,
            layers=tuple(_layers(target, by_target[target], runs, since, until)),
            outages=tuple(outages_of(by_target[target], since, until, newest)),
            totals=totals.get(target, RunCounts()),
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


class OutageJoiner:
    """The spells of one layer, in order -> its outages. One during which an exporter was restarted is one."""

    def __init__(self, current: Outage | None = None) -> None:
        self.current = current  # nobody has seen its end

    def add(self, spell: Spell) -> Outage | None:
        """The outage that is over by this spell."""
        if spell.state is State.FAILING and spell.ended > spell.began:
            began = spell.began if self.current is None else self.current.began
            self.current = Outage(layer=spell.layer, reason=spell.reason, began=began, ended=spell.ended)
        elif spell.state in (State.OK, State.DEGRADED) and self.current is not None:
            over, self.current = replace(self.current, seen_well=True), None
            return over
        return None


def clipped(outage: Outage, since: float, until: float) -> Outage:
    if outage.began >= since and outage.ended <= until:
        return outage
    return replace(outage, began=max(outage.began, since), ended=min(outage.ended, until))


def outages_of(spells: Iterable[Spell], since: float, until: float, newest: float) -> Iterator[Outage]:
    """Of spells in order. One that lasts until `newest` is not over."""
    joiners: dict[StateLayer, OutageJoiner] = defaultdict(OutageJoiner)
    for spell in spells:
        over = joiners[spell.layer].add(spell)
        if over is not None:
            yield clipped(over, since, until)
    for joiner in joiners.values():
        if joiner.current is not None:
            last = clipped(joiner.current, since, until)
            yield replace(last, open=joiner.current.ended >= min(newest, until))
