"""A history -> the words of every report on it."""

from collections.abc import Sequence
from dataclasses import dataclass

from astrometer.compare import change_text
from astrometer.compare.comparable import drifts
from astrometer.compare.output.compare_view import words
from astrometer.history.change_points import FEWEST_RUNS
from astrometer.history.run_groups import Order, Point
from astrometer.history.run_history import CHANCE, GroupHistory, LevelChange, MetricSeries, RunHistory
from astrometer.report import formatting

# Columns of a table, as many as there is room for; those that nobody measured are not there.
HEADLINES = (
    "ttft_p50", "ttft_p95", "overhead_p50", "e2e_p50", "duration_p50", "reply_first_p50", "reply_last_p95",
    "errors", "server_cpu_per_turn", "server_rss_growth",
)  # fmt: skip
SHORT = {"server_cpu_per_turn": "CPU per turn", "server_rss_growth": "RSS per 1,000 turns"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeLine:
    """A change of level, ready to be shown."""

    title: str
    change: str
    interval: str
    verdict: str
    before: str
    after: str
    where: str
    differs: tuple[str, ...]

    @property
    def css(self) -> str:
        return self.verdict.replace(" ", "-")


def sentence(history: RunHistory) -> str:
    """The answer in a line, of the largest group."""
    main, *others = history.groups
    runs = formatting.plural(len(main.group.runs), "run")
    if history.order is Order.VERSION:
        runs += f" of {formatting.plural(len(main.group.points), 'version')}"
    if history.missing:
        told = "change points were not looked for"
    elif all(series.not_searched for series in main.series):
        told = f"change points need {FEWEST_RUNS} runs"
    else:
        places = len({change.at for _, change in main.changes})
        told = f"the level changed at {formatting.plural(places, 'place')}" if places else "no level changed"
    apart = (
        f"; {formatting.plural(sum(len(g.group.runs) for g in others), 'run')} kept apart" if others else ""
    )
    left = f"; {formatting.plural(len(history.left_out), 'run')} left out" if history.left_out else ""
    return f"{runs}: {told}{apart}{left}."


def subject(group: GroupHistory) -> str:
    results = group.group.runs[0].results
    targets = list(dict.fromkeys(str(run.results["target"]["url"]) for run in group.group.runs))
    target = targets[0] if len(targets) == 1 else formatting.plural(len(targets), "target")
    return formatting.plain(
        f"{results['scenario']} · {formatting.load(results)} · "
        f"{formatting.duration(results['window']['duration_s'])} each · {target}"
    )


def place(point: Point, order: Order) -> str:
    """What stands under a point: its day and time, or its version."""
    return formatting.plain(point.version) if order is Order.VERSION else when(point.start)


def when(start: str) -> str:
    return formatting.plain(start[:16].replace("T", " "))


def about(point: Point, order: Order) -> str:
    """The other of the two, and which run it is."""
    if len(point.runs) > 1:
        return formatting.plural(len(point.runs), "run")
    other = when(point.start) if order is Order.VERSION else point.version
    return formatting.plain(f"{other} · {point.runs[0].name}")


def title(series: MetricSeries) -> str:
    name, _ = words(series.metric)
    return name if series.percent is None else f"{name} p{series.percent}"


def headlines(group: GroupHistory, most: int) -> list[MetricSeries]:
    by_name = {series.name: series for series in group.series}
    return [by_name[name] for name in HEADLINES if name in by_name][:most]


def change_lines(group: GroupHistory) -> list[ChangeLine]:
    return [_change_line(group.group.points, series, change) for series, change in group.changes]


def _change_line(points: Sequence[Point], series: MetricSeries, change: LevelChange) -> ChangeLine:
    row = change.row
    return ChangeLine(
        title=title(series),
        change=change_text.change(row.change, row.unit),
        interval=change_text.interval(row.interval, row.unit),
        verdict=row.verdict.value,
        before=change_text.value_text(row.base, row.unit),
        after=change_text.value_text(row.cand, row.unit),
        where=formatting.plain(
            f"from {change.after.name} on ({when(points[change.at].start)}); before it {change.before.name}"
        ),
        differs=tuple(formatting.plain(note) for note in change.differs),
    )


def method(history: RunHistory) -> str:
    """How a change point is found, and how often one is a false alarm."""
    if history.missing:
        return ""
    return (
        "A change point is where ruptures finds a step that is larger than chance, and compare calls the "
        f"runs after it better or worse than those before it (beyond ±{history.margin * 100:g} % or 1 ms; "
        f"errors and goodput ±{history.share_margin * 100:g} pp). Where runs differ by chance alone, at "
        f"most {CHANCE:.0%} of such pages show one at all. Runs that resemble the one before, or that now "
        "and then are far off, make false alarms more frequent."
    )


def notes(history: RunHistory) -> list[str]:
    told = [history.missing] if history.missing else []
    runs = (run for group in history.groups for run in group.group.runs)
    drifting = [run.name for run in runs if drifts(run.results)]
    if drifting:
        why = "their numbers depend on how long they lasted"
        told.append(formatting.plain(f"Not steady, and counted all the same ({why}): {', '.join(drifting)}."))
    return told + [
        f"{title(series)}: {series.not_searched}."
        for group in history.groups[:1]
        for series in group.series
        if series.not_searched and not all(other.not_searched for other in group.series)
    ]
