"""The chosen load run at a glance: state, objectives, capacity search, and what it is a run of."""

import load_generator
import load_graphs
from grafana_foundation_sdk.builders import stat, table
from looks import BAD, GOOD, UNKNOWN, WARN, States, cell, colored, prop, worded
from page import At, line_up
from panels import column, now, number, rows, shaped, state
from queries import RANGE, generator, last, load_run, run_quantile, share, this, total, where

START, STOP = "run_start_timestamp_seconds", "run_stop_timestamp_seconds"
STARTS = f"astrbot_load_{START}"
RUN: States = {
    0: ("IDLE", UNKNOWN),
    1: ("RUNNING", "blue"),
    2: ("OVER", "purple"),
    3: ("NOT THE NEWEST", WARN),
}
VERDICT: States = {
    0: ("NOT MET", BAD),
    1: ("OPEN", UNKNOWN),
    2: ("MET SO FAR", GOOD),
    3: ("NO OBJECTIVES", UNKNOWN),
}
MET: States = {0: ("not met", BAD), 1: ("met", GOOD), 2: ("open", UNKNOWN)}
PHASES: States = {
    0: ("CLEARING", "blue"),
    1: ("SETTLING", "blue"),
    2: ("MEASURING", "blue"),
    3: ("OVER", "purple"),
}
HOW_TO = (
    "No load run in the time range. To see one: astrometer load chat --target NAME "
    "--astrometer-metrics-port 16186, and let Prometheus scrape that port."
)
_OK = 'outcome="ok"'


def panels() -> list[At]:
    return [
        *line_up(
            0,
            4,
            (run_state(), 5),
            (verdict(), 4),
            (load_generator.trust(), 4),
            (elapsed(), 3),
            (failed(), 4),
            (ttft(), 4),
        ),
        *line_up(4, 4, (what(), 24)),
        *line_up(8, 6, (objectives(), 13), (searching(), 4), (search(), 7)),
    ]


def run_state() -> stat.Panel:
    start, newest = load_run(START), f"max(last_over_time({generator(STARTS)}[{RANGE}]))"
    return state(
        "Load test",
        "The run that is chosen above. RUNNING: turns begin. OVER: it has ended; the figures are its own. "
        "NOT THE NEWEST: another run began later; choose it above. IDLE: a generator waits for a test. NONE: "
        "there was no generator in the time range.",
        now(
            f"3 + 0 * (max({last(start)}) < {newest})\n"
            f"  or 1 + 0 * count({start} unless {load_run(STOP)})\n"
            f"  or 2 + 0 * count({last(start)})\n"
            f"  or 0 * count({generator('astrbot_load_build_info')})"
        ),
        RUN,
        none="NONE",
    )


def verdict() -> stat.Panel:
    met = last(load_run("objective_met"))
    limits = last(load_run("objective_limit"))
    return state(
        "Objectives",
        "Of the chosen run so far, in a capacity search of its last window. NOT MET: at least one is not. "
        "OPEN: none is broken, but one has too few samples or too large an error. The verdict of the run is "
        "in its results; INVALID beside this makes these worthless.",
        now(
            f"0 * count({met} == 0)\n"
            f"  or 1 + 0 * count({limits} unless on (job, instance, run, objective) {met})\n"
            f"  or 2 + 0 * count({met})\n"
            f"  or 3 + 0 * count({last(load_run(START))})"
        ),
        VERDICT,
        none="NONE",
    )


def elapsed() -> stat.Panel:
    start = load_run(START)
    ended = f"max({last(load_run(STOP))}) or max(last_over_time(timestamp({start})[{RANGE}:5s]))"
    return number(
        "Ran for",
        "From the start of the run to its end, or to its last scrape.",
        "s",
        now(f"({ended}) - max({last(start)})"),
        decimals=0,
    )


def failed() -> stat.Panel:
    return number(
        "Failed",
        "Share of the turns of the run so far that did not go well, dropped arrivals and cut-off turns "
        "included.",
        "percentunit",
        now(f"1 - {share(total(this('turns_total', _OK)), total(this('turns_total')))}"),
        colors=((None, GOOD), (0.001, WARN), (0.01, BAD)),
        decimals=2,
    )


def ttft() -> stat.Panel:
    return number(
        "Time to first token",
        f"Of the run so far. {load_graphs.ENDED} p50 is withheld below 20 turns, p95 below 200.",
        "s",
        now(run_quantile(50, load_graphs.TTFT, this), "p50"),
        now(run_quantile(95, load_graphs.TTFT, this), "p95"),
        none="too few",
    )


def what() -> table.Panel:
    told = "on (job, instance, run) group_left (scenario, target, version)"
    info = last(load_run("run_info"))
    labels = ("run", "scenario", "target", "version", "instance")

    def of_run(series: str) -> str:
        return f"max by ({', '.join(labels)}) ({series} * {told} {info})"

    panel = rows(
        "Run",
        "What was loaded with which locustfile. Most users: simulated users; in an open model they stand for "
        "the rate beside.",
        "none",
        column(of_run(last(load_run(START))) + " * 1000", "A"),
        column(of_run(f"max_over_time({load_run('users')}[{RANGE}])"), "B"),
        column(of_run(f"max_over_time({load_run('arrivals_per_second')}[{RANGE}])"), "C"),
        column(of_run(last(load_run("warmup_seconds"))), "D"),
        none=HOW_TO,
    )
    names = {
        "scenario": "Locustfile",
        "target": "Target",
        "version": "AstrBot",
        "Value #A": "Began",
        "Value #B": "Most users",
        "Value #C": "Most arrivals /s",
        "Value #D": "Warm-up",
        "instance": "Generator",
    }
    return (
        shaped(panel, names)
        .override_by_name("Began", [prop("unit", "dateTimeAsIso")])
        .override_by_name("Warm-up", [prop("unit", "s")])
    )


def objectives() -> table.Panel:
    def of_objective(name: str, more: str = "") -> str:
        return f"max by (objective, measure) ({last(load_run(f'objective_{name}', more))})"

    limit, met = of_objective("limit"), of_objective("met")
    panel = rows(
        "Objectives one by one",
        "As they stand now, failed turns counted as infinitely slow. Of limit: the value as a share of the "
        "limit, above 100% it is broken; of a lower limit the other way round. Values are in seconds, shares "
        "of 1, or a second.",
        "none",
        column(f"{met}\nor 2 + 0 * {limit}", "A"),
        column(limit, "B"),
        column(of_objective("value"), "C"),
        column(load_graphs.use_of_limit(of_objective), "D"),
        column(of_objective("samples"), "E"),
        none="No objectives: give a run --slo 'ttft_p95 < 2s'.",
    )
    names = {
        "objective": "Objective",
        "Value #A": "So far",
        "Value #C": "Value",
        "Value #D": "Of limit",
        "Value #E": "Samples",
    }
    over = colored((None, GOOD), (0.8, WARN), (1, BAD))
    return (
        shaped(panel, names, sort_by="Objective")
        .override_by_name("So far", [worded(MET), cell("color-background"), prop("custom.width", 90)])
        .override_by_name("Value", [prop("decimals", 4), prop("noValue", "too few")])
        .override_by_name(
            "Of limit",
            [
                *(prop("unit", "percentunit"), prop("decimals", 0), prop("noValue", "too few")),
                *(over, cell("color-text")),
            ],
        )
    )


def searching() -> stat.Panel:
    def phase(number: int, name: str) -> str:
        return f"{number} + 0 * count({last(load_run('capacity_state', where('state', name)))} == 1)"

    return state(
        "Capacity search",
        "CLEARING: waits until the server is idle. SETTLING: the load comes up. MEASURING: a window. OVER: "
        "there is an answer, in the results. NO SEARCH: a run at a load that was given.",
        now("\nor ".join(phase(number, name.lower()) for number, (name, _) in PHASES.items())),
        PHASES,
        none="NO SEARCH",
    )


def search() -> stat.Panel:
    return number(
        "Search so far",
        "The window that is being measured, or was the last, and its load in users or arrivals a second; the "
        "highest load that passed and the lowest that failed.",
        "none",
        now(f"max({last(load_run('capacity_step'))})", "window"),
        now(f"max({last(load_run('capacity_load'))})", "tries"),
        now(f"max({last(load_run('capacity_passing'))})", "passes"),
        now(f"max({last(load_run('capacity_failing'))})", "fails"),
        none="no search",
    )
