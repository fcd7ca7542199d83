"""The history and the states of now -> what a status page shows of each target. No sockets, no clock."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache

from markupsafe import Markup

from astrometer.api.server_versions import ServerVersions
from astrometer.probing.status.layer_evidence import StateLayer
from astrometer.probing.status.page_frame import share
from astrometer.probing.status.sla import Outage
from astrometer.probing.status.spells import DAY_S, HOUR_S, RunCounts
from astrometer.probing.status.state_by_layer import State, TargetState, TargetStatus
from astrometer.probing.status.state_history import StateHistory
from astrometer.probing.status.target_past import HistoryPart
from astrometer.units import format_duration, format_span

HOURS, DAYS = 24, 30
SHOWN_OUTAGES = 10
_FORMS = {HOUR_S: "%d %b %H:%M", DAY_S: "%d %b"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spark:
    """Mean times to first token by the hour. `points`: of a polyline in a box of 100 x 20."""

    points: str
    newest: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusOfTarget:
    """Of one target; `hours` and `days` are bars in HTML that end now."""

    name: str
    state: TargetState
    hours: Markup
    days: Markup
    uptime_day: str
    uptime_month: str
    spark: Spark | None
    outages: tuple[Outage, ...]  # the newest
    more_outages: int
    starts: tuple[float, ...]  # of its AstrBot, by its own clock: the newest first
    versions: ServerVersions | None = None  # of its AstrBot; None: not known


def status_of(
    states: Mapping[str, TargetState],
    history: StateHistory,
    versions: Mapping[str, ServerVersions | None],
    now: float,
) -> list[StatusOfTarget]:
    """All targets, failures first."""
    next_hour, next_day = (int(now // step + 1) * step for step in (HOUR_S, DAY_S))
    hours = [next_hour - step * HOUR_S for step in range(HOURS, 0, -1)]
    days = [next_day - step * DAY_S for step in range(DAYS, 0, -1)]
    order = list(TargetStatus)
    return [
        replace(_status(name, state, history, {HOUR_S: hours, DAY_S: days}, now), versions=versions.get(name))
        for name, state in sorted(states.items(), key=lambda item: order.index(item[1].status))
    ]


def _status(
    name: str,
    state: TargetState,
    history: StateHistory,
    starts: Mapping[int, list[int]],
    now: float,
) -> StatusOfTarget:
    past, going = history.past(name), history.going(name)
    hours, days = starts[HOUR_S], starts[DAY_S]
    outages = past.outages(days[0], now, going)
    of_hours, of_days = past.parts(HOUR_S, hours, going), past.parts(DAY_S, days, going)
    return StatusOfTarget(
        name=name,
        state=state,
        hours=_bars(hours, of_hours, HOUR_S),
        days=_bars(days, of_days, DAY_S),
        uptime_day=_uptime(of_hours),
        uptime_month=_uptime(of_days),
        spark=_spark(hours, of_hours),
        outages=tuple(outages[:SHOWN_OUTAGES]),
        more_outages=len(outages[SHOWN_OUTAGES:]),
        starts=past.starts(days[0]),
    )


def _bars(starts: list[int], parts: list[HistoryPart], step_s: int) -> Markup:
    return Markup().join(
        _bar(start, step_s, part.state, tuple(part.failing.items()))
        for start, part in zip(starts, parts, strict=True)
    )


@lru_cache(maxsize=10_000)
def _bar(
    start: int, step_s: int, state: State | None, failing: tuple[tuple[StateLayer, float], ...]
) -> Markup:
    """Most of them say what they said on the page before."""
    shown = "none" if state is None else state.value
    words = "not watched" if state is None else state.value
    if failing:
        words = ", ".join(f"{layer.label} failed for {format_span(seconds)}" for layer, seconds in failing)
    when = datetime.fromtimestamp(start, UTC).strftime(_FORMS[step_s])
    return Markup('<i class="{}" title="{}: {}"></i>').format(shown, when, words)


def _uptime(parts: list[HistoryPart]) -> str:
    """With the runs that it is made of; a share of nothing is nothing."""
    total = RunCounts()
    for part in parts:
        total.add(part.runs)
    return f"{share(total.uptime)} of {total.judged:,} runs" if total.judged else "–"


def _spark(hours: list[int], parts: list[HistoryPart]) -> Spark | None:
    means = [
        (hour, part.runs.ttft_s / part.runs.answers, part.runs.answers)
        for hour, part in zip(hours, parts, strict=True)
        if part.runs.answers
    ]
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
