"""A results file -> `report.html`: one file that needs nothing else, no script, no network.

Autoescape is on and the page forbids itself to load anything (Content-Security-Policy).
"""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from astrometer import __version__
from astrometer.api.metric_table import EXCHANGE_TIMES
from astrometer.api.outcome import Outcome
from astrometer.measure.results.result_parts import window_outcomes, window_started
from astrometer.measure.slo.validity import GENERATOR_LIMITS, GeneratorLimit
from astrometer.report import formatting, glossary
from astrometer.report.charts import capacity_charts, load_strip, run_charts, server_charts, stage_charts
from astrometer.report.charts.columns import columns
from astrometer.report.charts.objective_limits import limits_on
from astrometer.report.view import (
    capacity_steps,
    capacity_view,
    messenger_lines,
    other_requests_view,
    run_view,
    uploads_view,
)
from astrometer.report.view.notes import time_notes
from astrometer.report.view.server_lines import server_lines
from astrometer.report.view.time_columns import mark_notes, time_columns

FILE_NAME = "report.html"
_OVER_TIME = ("ttft", "chunk_gap", *EXCHANGE_TIMES)
MOST_PARTS = 12  # scenarios that are shown one by one, too
_DISTRIBUTIONS = (*_OVER_TIME, "upload_accept", "delivery")


def render_html(results: Mapping[str, Any]) -> str:
    rows = run_view.scenario_rows(results)
    stages = run_view.stage_rows(results)
    steps = columns(results)
    over_time = [
        run_charts.traffic(steps),
        run_charts.failures(steps),
        *(run_charts.over_time(steps, name, limits_on(results, name)) for name in _OVER_TIME),
        *server_charts.charts(results, steps),
    ]
    load = load_strip.strip(results, steps)
    by_stage = [
        chart
        for name in ("ttft", *EXCHANGE_TIMES)
        for chart in (stage_charts.per_stage(results, name), stage_charts.against_load(results, name))
        if chart
    ]
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            style=style(),
            astrometer_version=__version__,
            head=run_view.headline(results),
            started=_date(results["window"]["start"]),
            figures=capacity_view.figures(results) or _figures(results),
            all_loads=capacity_view.ALL_LOADS if capacity_view.found(results) else "",
            rows=rows,
            stages=stages,
            stage_objectives=run_view.stage_objectives(results),
            by_stage=by_stage,
            search_rows=capacity_steps.rows(results),
            search_titles=capacity_steps.titles(searched)
            if (searched := capacity_view.found(results))
            else [],
            search_note=capacity_steps.NOTE,
            by_load=capacity_charts.charts(results),
            profile=formatting.plain(results["profile"] or ""),
            uploads=(by_size := uploads_view.rows(results)),
            upload_lines=uploads_view.lines(results),
            upload_note=uploads_view.NOTE,
            other_requests=other_requests_view.lines(results),
            other_requests_title=other_requests_view.TITLE,
            other_requests_note=other_requests_view.NOTE,
            withheld=run_view.withheld_note([*rows, *stages, *by_size]),
            excluded=run_view.excluded_note(results),
            time_columns=time_columns,
            mark_notes=mark_notes(rows),
            stall_lines=time_notes(results),
            im_lines=messenger_lines.im_lines(results),
            server_lines=server_lines(results),
            parts=_parts(results),
            over_time=[replace(chart, drawing=chart.drawing + load) for chart in over_time if chart],
            generator=_generator(results["generator"]),
            target=_target(results),
            command=formatting.plain(shlex.join(results["command"]), 20_000),
            environment=[
                (formatting.plain(k), formatting.plain(v)) for k, v in results["environment"].items()
            ],
            schema_version=results["schema_version"],
        )
    )


@cache
def environment(package: str = "astrometer.report") -> Environment:
    """The templates of `package`, autoescape on."""
    made = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["count"] = formatting.count
    return made


def _shown(value: object) -> object:
    """Whatever a template puts into a page: text is made safe to show here, and so never forgotten."""
    return formatting.plain(value, 20_000) if type(value) is str else value


def style(*own: Path) -> Markup:
    """The style sheet that all pages share, and those of one page's `own`."""
    files = (Path(__file__).parent / "templates" / "report.css", *own)
    return Markup("".join(file.read_text("utf-8") for file in files))  # noqa: S704 (our own files)


def _figures(results: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The few numbers to take home: (name, value, what is behind it)."""
    whole = run_view.row("all", results)
    figures = [
        ("turns", formatting.count(whole.started), f"{formatting.count(whole.ok)} ok"),
        (
            "errors",
            formatting.share((whole.ended - whole.ok) / whole.ended if whole.ended else None),
            f"{formatting.count(whole.ended - whole.ok)} of {formatting.count(whole.ended)}",
        ),
    ]
    for name, cell in (
        ("TTFT p50", whole.ttft_p50),
        ("TTFT p95", whole.ttft_p95),
        ("e2e p95", whole.e2e_p95),
        ("first reply p50", whole.reply_first_p50),
        ("last reply p95", whole.reply_last_p95),
    ):
        if cell is not None:
            figures.append((name, cell.text, f"n {formatting.count(cell.n)}"))
    if whole.e2e_p95 is None and whole.duration_p95 is not None:
        figures.append(
            ("duration p95", whole.duration_p95.text, f"n {formatting.count(whole.duration_p95.n)}")
        )
    figures.append(("goodput", whole.goodput_rate, whole.goodput_share))
    return figures


def _parts(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is shown of all exchanges together, and of each scenario where there are several."""
    scenarios = results["scenarios"]
    named = [("", results), *(scenarios.items() if 1 < len(scenarios) <= MOST_PARTS else ())]
    found = []
    for scenario, stats in named:
        limits = {name: limits_on(results, name, scenario) for name in _DISTRIBUTIONS}
        charts = [run_charts.distribution(stats, name, limits[name]) for name in _DISTRIBUTIONS]
        found.append(
            {
                "name": formatting.plain(scenario),
                "outcomes": _outcomes(stats),
                "distributions": [chart for chart in charts if chart],
                "percentiles": _percentiles(stats),
                "operations": [
                    pair for pair in run_view.operation_rows(results) if scenario in ("", pair[0])
                ],
            }
        )
    return found


def _outcomes(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    counted = window_outcomes(results)
    total = sum(counted.values())
    lost = window_started(results) - total
    rows = [
        {
            "name": formatting.plain(name),
            "n": n,
            "share": formatting.share(n / total),
            "width": round(n / total * 100, 2),
            "layer": glossary.layer(name),
            "kind": "ok" if name == Outcome.OK.value else "bad",
        }
        for name in run_view.by_frequency(counted)
        if (n := counted[name])
    ]
    if lost:
        rows.append(
            {"name": "never ended", "n": lost, "share": "", "width": 0, "layer": "unknown", "kind": "bad"}
        )
    return rows


def _percentiles(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each metric, and below it the variant in which a failure is infinitely slow, where it differs."""
    rows = []
    attempts = results["metrics_all_attempts"]
    for name in [*results["metrics"], *(name for name in attempts if name not in results["metrics"])]:
        word = glossary.metric(name)
        if name in results["metrics"]:
            rows.append({"title": word.title, "meaning": word.meaning, **_line(results["metrics"][name])})
        if name in attempts:
            rows.append({"title": None, "meaning": f"{word.title}, all attempts", **_line(attempts[name])})
    return rows


def _line(summary: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("p50", "p90", "p95", "p99", "max")
    return {"n": summary["n"], "cells": [(key, formatting.duration(summary[key])) for key in keys]}


def _generator(health: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Name, value, limit and whether it is over it; None for what was not measured."""

    def line(
        name: str, value: float | None, text: str, limit: float | None, limit_text: str
    ) -> dict[str, Any]:
        over = value is not None and limit is not None and value > limit
        return {"name": name, "text": text if value is not None else "–", "limit": limit_text, "over": over}

    def limited(row: GeneratorLimit) -> dict[str, Any]:
        value, shown = health[row.field], formatting.share if row.is_share else formatting.duration
        limit = row.here(health["clock"], health["schedule_lag_limit_s"])
        if limit is None:
            text = "harms no time: the kernel stamps"
        else:
            text = f"≤ {limit:.0%}" if row.is_share else f"≤ {limit * 1e3:.0f} ms"
        return line(row.title, value, shown(value), limit, text)

    errors = health["user_errors"]
    return [
        *map(limited, GENERATOR_LIMITS.values()),
        line("workers lost", health["lost_workers"], str(health["lost_workers"]), 0, "0"),
        line("exceptions in the locustfile", errors, formatting.count(errors), 0, "0"),
        {
            "name": "event-loop lag, longest",
            "text": formatting.duration(health["loop_lag_max_s"]),
            "limit": "",
            "over": False,
        },
        {"name": "processes", "text": str(health["processes"]), "limit": "", "over": False},
    ]


def _target(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    tokens, bytes_ = results["tokens"], results["bytes"]
    lines = [
        ("url", formatting.plain(results["target"]["url"])),
        ("AstrBot", formatting.plain(results["target"]["version"] or "unknown")),
        ("window", formatting.duration(results["window"]["duration_s"])),
        ("load", formatting.load(results)),
    ]
    lines += [("TLS", line) for line in run_view.trust_lines(results)]
    if any(tokens.values()):
        given, made = tokens.get("input_tokens", 0), tokens.get("output_tokens", 0)
        lines.append(
            ("tokens", f"{formatting.count(given)} in, {formatting.count(made)} out (counted by the server)")
        )
    if any(bytes_.values()):
        sent, got = bytes_.get("bytes_sent", 0), bytes_.get("bytes_received", 0)
        lines.append(("bodies", f"{formatting.size(sent)} sent, {formatting.size(got)} received"))
    return lines


def _date(text: str) -> str:
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:
        return formatting.plain(text)
