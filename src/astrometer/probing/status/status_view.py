"""The history and the states of now -> what a status page shows of each target. No sockets, no clock."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from astrometer.probing.state_by_layer import State, TargetState, TargetStatus
from astrometer.probing.status.page_frame import share
from astrometer.probing.status.sla import Outage, outages_of
from astrometer.probing.status.state_history import HOUR_S, RunHour, RunTotals, Spell, StateHistory
from astrometer.units import format_duration, format_span

DAY_S = 86400
HOURS, DAYS = 24, 30
SHOWN_OUTAGES = 10
# Of a bar the worst: failing comes before all, and what nobody knows after what somebody does.
_RANK = {None: 0, State.UNKNOWN: 1, State.OK: 2, State.DEGRADED: 3, State.FAILING: 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryBar:
    """A part of a time. `state`: a class of the page's style; `title` says it in words."""

    state: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spark:
    """Mean times to first token by the hour. `points`: of a polyline in a box of 100 x 20."""

    points: str
    newest: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusOfTarget:
    """Of one target; `hours` and `days` end now."""

    name: str
    state: TargetState
    hours: tuple[HistoryBar, ...]
    days: tuple[HistoryBar, ...]
    uptime_day: str
    uptime_month: str
    spark: Spark | None
    outages: tuple[Outage, ...]


def status_of(states: Mapping[str, TargetState], history: StateHistory, now: float) -> list[StatusOfTarget]:
    """All targets, failures first."""
    next_hour, next_day = (int(now // step + 1) * step for step in (HOUR_S, DAY_S))
    hours = [next_hour - step * HOUR_S for step in range(HOURS, 0, -1)]
    days = [next_day - step * DAY_S for step in range(DAYS, 0, -1)]
    spells: dict[str, list[Spell]] = defaultdict(list)
    known = history.reader()
    for spell in history.recent(days[0]):
        spells[spell.target].append(spell)
    runs: dict[str, list[RunHour]] = defaultdict(list)
    for hour in known.run_hours(hours[0], now):
        runs[hour.target].append(hour)
    day, month = known.run_totals(hours[0], now), known.run_totals(days[0], now)
    order = list(TargetStatus)
    return [
        StatusOfTarget(
            name=name,
            state=state,
            hours=tuple(_bars(spells[name], hours, HOUR_S, now, "%d %b %H:%M")),
            days=tuple(_bars(spells[name], days, DAY_S, now, "%d %b")),
            uptime_day=_uptime(day.get(name)),
            uptime_month=_uptime(month.get(name)),
            spark=_spark(runs[name]),
            outages=_newest(spells[name], days[0], now),
        )
        for name, state in sorted(states.items(), key=lambda item: order.index(item[1].status))
    ]


def _newest(spells: list[Spell], since: float, now: float) -> tuple[Outage, ...]:
    outages = sorted(outages_of(spells, since, now), key=lambda one: one.began, reverse=True)
    return tuple(outages[:SHOWN_OUTAGES])


def _bars(spells: list[Spell], starts: list[int], step_s: int, now: float, form: str) -> list[HistoryBar]:
    worst: list[State | None] = [None] * len(starts)
    failing: list[dict[str, float]] = [{} for _ in starts]
    for spell in spells:
        if spell.ended < starts[0]:
            continue
        first = max(0, int((spell.began - starts[0]) // step_s))
        last = min(len(starts) - 1, int((spell.ended - starts[0]) // step_s))
        rank = _RANK[spell.state]
        for index in range(first, last + 1):
            if rank > _RANK[worst[index]]:
                worst[index] = spell.state
            if spell.state is State.FAILING:
                seconds = spell.within(starts[index], starts[index] + step_s)
                label = spell.layer.label
                failing[index][label] = failing[index].get(label, 0.0) + seconds
    return [
        HistoryBar(
            state="none" if state is None else state.value,
            title=f"{datetime.fromtimestamp(start, UTC).strftime(form)}: {_words(state, layers)}",
        )
        for start, state, layers in zip(starts, worst, failing, strict=True)
        if start < now
    ]


def _words(state: State | None, failing: dict[str, float]) -> str:
    if failing:
        return ", ".join(f"{layer} failed for {format_span(seconds)}" for layer, seconds in failing.items())
    return "not watched" if state is None else state.value


def _uptime(totals: RunTotals | None) -> str:
    """With the runs that it is made of; a share of nothing is nothing."""
    if totals is None or not totals.judged:
        return "–"
    return f"{share(totals.uptime)} of {totals.judged:,} runs"


def _spark(hours: list[RunHour]) -> Spark | None:
    means = [(hour.hour, hour.ttft_s / hour.answers, hour.answers) for hour in hours if hour.answers]
    if not means:
        return None
    began, top = means[0][0], max(mean for _, mean, _ in means)
    width = max(HOUR_S, means[-1][0] - began)
    points = " ".join(
        f"{(hour - began) * 100 / width:.1f},{20 - 18 * mean / top:.1f}" for hour, mean, _ in means
    )
    return Spark(
        points=points if len(means) > 1 else f"{points} 100,{points.split(',')[1]}",
        newest=format_duration(means[-1][1]),
        title=f"mean by the hour of {sum(count for *_, count in means):,} answers, "
        f"at most {format_duration(top)}",
    )
