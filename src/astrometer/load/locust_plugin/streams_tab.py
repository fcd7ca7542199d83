"""The state of a running test -> a tab "Streams" in Locust's web UI, fresh with each of its polls.

A line per measure, a column per scenario, with the number of samples beside each percentile; the health of
the load generator below.
"""

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from astrometer.load.live.live_state import LiveState
from astrometer.load.turnstile import breathe
from astrometer.measure.slo.validity import GENERATOR_LIMITS
from astrometer.measure.tally.exchange_stats import Stats
from astrometer.measure.tally.histogram import MIN_SAMPLES, Histogram
from astrometer.units import format_duration

KEY = "streams"
POLL_S = 1.5  # Locust's page asks every two seconds
ALL = "all"
NOTHING = "–"
LINES = (
    ("TTFT", "ttft", (50, 95, 99)),
    ("TTFT from the intended arrival", "ttft_effective", (50, 95, 99)),
    ("chunk gap", "chunk_gap", (50, 99)),
    ("end to end", "e2e", (50, 95)),
    ("plain calls", "duration", (50, 95)),
)
OPEN_ONLY = "ttft_effective"

Row = dict[str, str]  # no key is "name": by that Locust's table would sort


def add(web_ui: Any, state: LiveState) -> None:
    """Add the tab, and its data to what the page polls."""
    from flask import request  # noqa: PLC0415 (only where there is a web UI)

    columns = columns_of(state.scenarios())
    arguments = web_ui.template_args
    structure = [{"key": "measure", "title": ""}] + [
        {"key": key, "title": title} for title, key in columns.items()
    ]
    for name, item in (
        ("extended_tabs", {"title": "Streams", "key": KEY}),
        ("extended_tables", {"key": KEY, "structure": structure}),
        ("extended_csv_files", {"href": "./metrics", "title": "Prometheus metrics"}),
    ):
        arguments[name] = [*arguments.get(name, []), item]

    fresh: dict[float, list[Row]] = {}  # several people may look

    def current_rows() -> list[Row]:
        now = time.monotonic()
        if not any(now - t < POLL_S for t in fresh):
            table = rows(state, columns)
            fresh.clear()
            fresh[now] = table
        return next(iter(fresh.values()))

    def extend(response: Any) -> Any:
        if request.path.endswith("/stats/requests") and response.is_json:
            data = response.get_json()
            others = [item for item in data.get("extended_stats", []) if item["key"] != KEY]
            mine = {"key": KEY, "data": current_rows()}
            response.set_data(json.dumps({**data, "extended_stats": [*others, mine]}))
        return response

    web_ui.app.after_request(extend)


def columns_of(scenarios: list[str]) -> dict[str, str]:
    """Titles -> keys; several scenarios have a column for all of them."""
    titles = [*scenarios, ALL] if len(scenarios) != 1 else scenarios
    return {title: f"column{number}" for number, title in enumerate(titles)}


def rows(state: LiveState, columns: dict[str, str]) -> list[Row]:
    counts = _counts(state, columns)

    def line(measure: str, values: dict[str, str]) -> Row:
        return {"measure": measure, **{columns[title]: text for title, text in values.items()}}

    def measured(metric: str, write: Callable[[Histogram], str]) -> dict[str, str]:
        return {title: write(_merged(state, title, metric)) for title in columns}

    running = {title: f"{stats.started - stats.outcomes.total():,}" for title, stats in counts.items()}
    table = [
        line("begun", {title: f"{stats.started:,}" for title, stats in counts.items()}),
        line("in flight", running),
    ]
    seen = {name for stats in counts.values() for name, count in stats.outcomes.items() if count}
    for outcome in ["ok", *sorted(seen - {"ok", "dropped"}), "dropped"]:
        ended = {title: f"{stats.outcomes[outcome]:,}" for title, stats in counts.items()}
        table.append(line(outcome, ended))
    for what, metric, percents in LINES:
        if metric != OPEN_ONLY or state.arrivals_per_s is not None:
            heading = f"{what} {' / '.join(f'p{percent}' for percent in percents)} (n)"
            table.append(line(heading, measured(metric, partial(_percentiles, percents=percents))))
    table.append(line("longest gap", measured("max_gap", lambda gaps: format_duration(gaps.max))))
    last = next(reversed(columns))
    table += [line(measure, {last: text}) for measure, text in _generator(state)]
    return table


def _counts(state: LiveState, columns: dict[str, str]) -> dict[str, Stats]:
    """By column; a scenario that appeared later than the page is in "all" alone."""
    by_title: dict[str, Stats] = {title: Stats() for title in columns}
    for scenario in state.scenarios():
        stats = state.counts(scenario)
        for title in (scenario, ALL):
            if title in by_title:
                by_title[title].merge(stats)
    return by_title


def _merged(state: LiveState, title: str, metric: str) -> Histogram:
    breathe()
    merged = Histogram()
    for histogram in state.histograms(None if title == ALL else title, metric):
        merged.merge(histogram)
        breathe()
    return merged


def _percentiles(histogram: Histogram, percents: tuple[int, ...]) -> str:
    if not histogram.n:
        return NOTHING
    found = histogram.percentiles(percents)
    texts = (
        format_duration(value if histogram.n >= MIN_SAMPLES[percent] else None)
        for percent, value in zip(percents, found, strict=True)
    )
    return f"{' / '.join(texts)} ({histogram.n:,})"


def _generator(state: LiveState) -> list[tuple[str, str]]:
    """Of the worst process, against what would make the run INVALID."""
    health = state.generator()
    lines = []
    if state.arrivals_per_s is not None:
        lines.append(("arrivals asked for", f"{state.arrivals_per_s:.3g}/s"))
    if health is None:
        return lines
    for row in GENERATOR_LIMITS.values():
        value, limit = getattr(health, row.field), row.here(health.clock, health.schedule_lag_limit_s)
        shown = _share if row.is_share else format_duration
        above = "" if value is None or limit is None or value <= limit else f" ABOVE {shown(limit)}: INVALID"
        lines.append((f"generator: {row.title}", shown(value) + above))
    return [
        *lines,
        ("generator: event-loop lag, longest", format_duration(health.loop_lag_max_s)),
        ("generator: processes", f"{health.processes}, {health.lost_workers} lost"),
    ]


def _share(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.0%}"
