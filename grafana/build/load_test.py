"""What does the load test do to AstrBot, can its numbers be trusted, and was the run before it better?"""

import load_compared
import load_generator
import load_graphs
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import stat
from grafana_foundation_sdk.models import dashboard as model
from looks import BAD, GOOD, WARN, States
from page import At, Page, Section, line_up
from panels import now, number, state
from queries import (
    RANGE,
    last_run,
    load_run,
    run_quantile,
    scenario,
    share,
    total,
)
from variables import DATA_SOURCE, GENERATORS_TOO, data_source, of_probes, of_scrape, several

RUN: States = {0: ("IDLE", "#707684"), 1: ("RUNNING", "blue"), 2: ("OVER", "purple")}


def page() -> Page:
    return Page(
        uid="astrometer-load",
        description="A running load test, or the last one: load, times, outcomes, the generator's health, "
        "the run before, and what the probes saw meanwhile.",
        variables=[data_source(), *of_scrape(GENERATORS_TOO), scenarios(), *of_probes(), *last_and_before()],
        time_from="now-30m",
        refresh="10s",
        sections=[
            Section(panels=top()),
            Section(
                title="Load",
                panels=line_up(
                    0, 8, (load_graphs.users(), 8), (load_graphs.rates(), 8), (load_graphs.in_flight(), 8)
                ),
            ),
            Section(
                title="How fast",
                panels=[
                    *line_up(
                        0,
                        8,
                        (load_graphs.quantiles("Time to first token over time", load_graphs.TTFT), 12),
                        (load_graphs.effective(), 12),
                    ),
                    *line_up(
                        8,
                        8,
                        (load_graphs.gaps(), 12),
                        (load_graphs.quantiles("End to end over time", load_graphs.E2E), 12),
                    ),
                ],
            ),
            Section(
                title="How it ended",
                panels=line_up(
                    0, 8, (load_graphs.outcomes(), 8), (load_graphs.failures(), 8), (load_graphs.tokens(), 8)
                ),
            ),
            Section(title="Is it the load generator?", panels=load_generator.panels()),
            Section(title="Against the run before", panels=load_compared.panels()),
            Section(
                title="What the probes saw meanwhile",
                panels=line_up(
                    0, 8, (load_graphs.targets_over_time(), 12), (load_graphs.probed_first_token(), 12)
                ),
            ),
        ],
    )


def scenarios() -> build.QueryVariable:
    here = 'job=~"$job",instance=~"$instance"'
    return several("scenario", "Scenario", f"label_values(astrbot_load_started_total{{{here}}}, scenario)")


def last_and_before() -> list[build.QueryVariable]:
    """`began`: when the last run in the range began. `previous`: seconds to it from the start of the other.

    Where there is none, 0 and a week: both are valid in a query and find nothing.
    """
    start = load_run("run_start_timestamp_seconds")
    last = f"max(max_over_time({start}[{RANGE}]))"
    last_at_end = f"scalar(max(max_over_time({start}[{RANGE}] @ end())))"
    # The least of each minute: a short run is not lost between two steps, nor behind the one after it.
    before = f"max(max_over_time((min_over_time({start}[1m]) < {last_at_end})[7d:1m]))"
    return [
        _hidden("began", "Last run began", f"floor({last}) or vector(0)"),
        _hidden("previous", "Run before, seconds earlier", f"round({last} - {before}) or vector(604800)"),
    ]


def _hidden(name: str, label: str, expr: str) -> build.QueryVariable:
    query = f"query_result({expr})"
    return (
        build.QueryVariable(name)
        .label(label)
        .datasource(DATA_SOURCE)
        .query({"query": query, "refId": f"{name}-value", "qryType": 3})
        .definition(query)
        .regex(r"/\s(\d+)\s/")
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .hide(model.VariableHide.HIDE_VARIABLE)
    )


def top() -> list[At]:
    return line_up(
        0,
        5,
        (run_state(), 5),
        (load_generator.trust(), 4),
        (elapsed(), 3),
        (peak(), 4),
        (failed(), 4),
        (ttft(), 4),
    )


def run_state() -> stat.Panel:
    start, stop = load_run("run_start_timestamp_seconds"), load_run("run_stop_timestamp_seconds")
    return state(
        "Load test",
        "RUNNING: turns begin. OVER: the last run in the time range has ended; the figures are its own. "
        "IDLE: a generator waits for a test. NONE: there was no generator in the time range.",
        now(
            f"1 + 0 * count({start} unless {stop})\n"
            f"  or 2 + 0 * count(last_over_time({start}[{RANGE}]))\n"
            f"  or 0 * count({load_run('build_info')})"
        ),
        RUN,
        none="NONE",
    )


def elapsed() -> stat.Panel:
    return number(
        "Ran for",
        "From the start of the last run to its last scrape.",
        "s",
        now(
            f"max(last_over_time(timestamp({load_run('run_start_timestamp_seconds')})[{RANGE}:5s])) - "
            f"${{began}}"
        ),
        decimals=0,
    )


def peak() -> stat.Panel:
    return number(
        "Highest load",
        "The most simulated users in the time range; in an open model also the most arrivals a second that "
        "they stood for.",
        "none",
        now(total(f"max_over_time({load_run('users')}[{RANGE}])"), "users"),
        now(total(f"max_over_time({load_run('arrivals_per_second')}[{RANGE}])"), "asked /s"),
    )


def failed() -> stat.Panel:
    good, ended = scenario("turns_total", _OK), scenario("turns_total")
    return number(
        "Failed",
        "Share of the turns of the last run so far that did not go well, dropped arrivals and cut-off turns "
        "included.",
        "percentunit",
        now(f"1 - {share(total(last_run(good)), total(last_run(ended)))}"),
        colors=((None, GOOD), (0.001, WARN), (0.01, BAD)),
        decimals=2,
    )


def ttft() -> stat.Panel:
    return number(
        "Time to first token",
        f"Of the last run so far. {load_graphs.ENDED} p50 is withheld below 20 turns, p95 below 200.",
        "s",
        now(run_quantile(50, load_graphs.TTFT), "p50"),
        now(run_quantile(95, load_graphs.TTFT), "p95"),
        none="too few",
    )


_OK = 'outcome="ok"'
