"""The graphs of a load test: load, times, outcomes, and what the probes saw meanwhile."""

from collections.abc import Callable, Sequence

from grafana_foundation_sdk.builders import heatmap, statetimeline, timeseries
from looks import BAD, GOOD, PLAIN, dashed, fixed, prop
from panels import LOG, Query, density, faults, graph, line, stack, timeline
from queries import (
    COMPARED,
    RATE,
    SHIFTED,
    WINDOW,
    load_quantile,
    load_run,
    probe,
    scenario,
    share,
    total,
    where,
)
from service import PASSED

# Load is scraped more often than probes. With 10 s, Grafana takes rates over 40 s: enough for scrapes of 5 s
# to 15 s.
STEP = "10s"
TTFT, GAP, E2E = "time_to_first_token_seconds", "inter_chunk_gap_seconds", "end_to_end_seconds"
EFFECTIVE = "time_to_first_token_effective_seconds"
ENDED = "Of turns that went well, after the warm-up."
WITHHELD = (
    "Over the window chosen above, sliding; withheld below 20 turns in it (p50), 200 (p95) and 1000 (p99)."
)
TOO_FEW = "too few turns: choose a longer window above"
LEAST = 0.01  # a log axis has no 0
MOST_FAILED = 0.01  # where no objective says otherwise
# the measure of an objective -> the histogram
MEASURES = {TTFT: "ttft", GAP: "chunk_gap", E2E: "e2e", EFFECTIVE: "ttft_effective"}


def users() -> timeseries.Panel:
    on_the_right = [
        prop("custom.axisPlacement", "right"),
        prop("custom.lineInterpolation", "stepAfter"),
        dashed(),
        prop("decimals", 0),
    ]
    return (
        graph(
            "Users and stage",
            "Simulated users; on the right axis the stage of the load's shape, from 1, or the window of a "
            "capacity search. Green and red: the highest load that passed and the lowest that failed in it.",
            "none",
            fast(total(load_run("users")), "users"),
            fast(f"max({load_run('stage_number')})", "stage"),
            fast(f"max({load_run('capacity_step')})", "window"),
            fast(f"max({load_run('capacity_passing')})", "passes"),
            fast(f"max({load_run('capacity_failing')})", "fails"),
        )
        .override_by_regexp("/stage|window/", on_the_right)
        .override_by_name("users", [fixed(PLAIN)])
        .override_by_name("passes", [fixed(GOOD)])
        .override_by_name("fails", [fixed(BAD)])
    )


def rates() -> timeseries.Panel:
    return graph(
        "Turns a second",
        "Asked: the arrivals of an open model; one may be a conversation of several turns. Begun below "
        "asked: the generator cannot keep up, or arrivals are dropped. Ended below begun: turns pile up in "
        "AstrBot.",
        "short",
        fast(total(load_run("arrivals_per_second")), "asked"),
        fast(f"sum(rate({scenario('started_total')}[{RATE}]))", "begun"),
        fast(f"sum(rate({scenario('turns_total')}[{RATE}]))", "ended"),
    ).override_by_name("asked", [dashed()])


def in_flight() -> timeseries.Panel:
    return graph(
        "Turns in flight",
        "Begun and not ended, by scenario. In an open model a line that keeps rising is an overloaded "
        "server.",
        "none",
        fast(f"sum by (scenario) ({scenario('in_flight')})", "{{scenario}}"),
    )


def quantiles(what: str, histogram: str) -> timeseries.Panel:
    times = "last output" if histogram == E2E else "first output"
    return _times(
        what,
        f"Send to the model's {times}. {WITHHELD} {ENDED} Red dashes: objectives. Red ground: more turns "
        "failed than the objective on errors allows, or 1%: times of what is left say little. Grey: the run "
        "compared with, at the same moment of it.",
        histogram,
        fast(load_quantile(50, histogram), "p50"),
        fast(load_quantile(95, histogram), "p95"),
        fast(load_quantile(99, histogram), "p99"),
        fast(load_quantile(95, histogram, COMPARED, SHIFTED), "p95 compared"),
        calcs=("lastNotNull", "max") if histogram == TTFT else (),
    )


def ttft_map() -> heatmap.Panel:
    return density(
        "Time to first token, all turns",
        f"How many turns began to stream after how long, also where they are too few for a quantile. {ENDED}",
        fast(f"sum by (le) (increase({scenario(f'{TTFT}_bucket')}[{RATE}]))", ""),
    )


def effective() -> timeseries.Panel:
    return _times(
        "Time to first token from the intended arrival",
        "Open model: what an arrival waited that could not start in time is in it, so a server that "
        f"freezes cannot hide (no coordinated omission). In a closed model both are the same. {WITHHELD}",
        EFFECTIVE,
        fast(load_quantile(95, EFFECTIVE), "p95 from arrival"),
        fast(load_quantile(95, TTFT), "p95 from send"),
    ).override_by_name("p95 from send", [dashed()])


def gaps() -> timeseries.Panel:
    return _times(
        "Gaps between chunks",
        f"How evenly answers stream under load. {WITHHELD.replace('turns', 'gaps')} {ENDED}",
        GAP,
        fast(load_quantile(50, GAP), "p50"),
        fast(load_quantile(95, GAP), "p95"),
        fast(load_quantile(99, GAP), "p99"),
        fast(load_quantile(95, GAP, COMPARED, SHIFTED), "p95 compared"),
    )


def objectives_over_time() -> timeseries.Panel:
    def now(name: str, more: str) -> str:
        return f"max by (objective) ({load_run(f'objective_{name}', more)})"

    return (
        graph(
            "Objectives over time",
            "Each value so far as a share of its limit, of a lower limit the other way round, on a log axis: "
            "above the line at 100% it is broken. Less than 1% is drawn and listed as 1%. A line begins when "
            "there are samples enough. In a capacity search: of the last window.",
            "percentunit",
            fast(f"clamp_min({use_of_limit(now)}, {LEAST})", "{{objective}}"),
            fast(f"1 + 0 * count({load_run('objective_limit')})", "limit"),
            calcs=("lastNotNull", "max"),
            none="no objectives, or too few turns",
        )
        .scale_distribution(LOG)
        .min(LEAST)
        .override_by_name("limit", [dashed(), fixed(BAD)])
    )


def use_of_limit(of_objective: Callable[[str, str], str]) -> str:
    """How much of each limit is used: value over limit; limit over value where more is better."""
    upper, lower = 'objective=~".*<.*"', 'objective=~".*>.*"'
    return (
        f"{of_objective('value', upper)} / {of_objective('limit', upper)}\nor\n"
        f"{of_objective('limit', lower)} / ({of_objective('value', lower)} > 0)"
    )


def outcomes() -> timeseries.Panel:
    return stack(
        "Outcomes a second",
        "Turns that ended, by outcome. Each is explained in docs/reference/outcomes.md.",
        "short",
        fast(f"sum by (outcome) (rate({scenario('turns_total')}[{RATE}])) > 0", "{{outcome}}"),
    ).override_by_name("ok", [fixed("dark-green")])


def failures() -> timeseries.Panel:
    bad = f"sum by (outcome) (rate({scenario('turns_total', _NOT_OK)}[{RATE}])) > 0"
    return faults(
        "Failed turns",
        "Share of the turns that ended, by outcome; the same as on the left without those that went well.",
        "percentunit",
        fast(
            f"({bad})\n  / on () group_left ()\nsum(rate({scenario('turns_total')}[{RATE}]))", "{{outcome}}"
        ),
        seen=f"rate({scenario('turns_total')}[{RATE}]) > 0",
        none="no turn ended",
    )


def tokens() -> timeseries.Panel:
    return graph(
        "Tokens a second",
        "As AstrBot reports them, of all turns at once.",
        "none",
        fast(f"sum by (direction) (rate({scenario('tokens_total')}[{RATE}]))", "{{direction}}"),
    )


def targets_over_time() -> statetimeline.Panel:
    return timeline(
        "Targets over time",
        "Red while the last run of any chosen probe of the target failed. Empty without an exporter.",
        line(f"min by (target) ({probe('success')})", "{{target}}"),
        PASSED,
    )


def probed_first_token() -> timeseries.Panel:
    return graph(
        "Time to first token of the probes",
        "Mean of the probes' own few questions, asked from elsewhere: what a user sees who comes while the "
        "test runs.",
        "s",
        line(
            share(
                total(f"increase({probe(f'{TTFT}_sum')}[{RATE}])", "target"),
                total(f"increase({probe(f'{TTFT}_count')}[{RATE}])", "target"),
            ),
            "{{target}}",
        ),
    )


def fast(expr: str, legend: str) -> Query:
    return line(expr, legend, min_step=STEP)


def _times(
    title: str, description: str, histogram: str, *queries: Query, calcs: Sequence[str] = ()
) -> timeseries.Panel:
    """Quantiles, the objectives on them, and a ground where too many turns failed."""
    measure = f'measure=~"{MEASURES[histogram]}_(p[0-9]+|max)"'
    bad, ended = (f"sum(increase({scenario('turns_total', more)}[{WINDOW}]))" for more in (_NOT_OK, ""))
    allowed = f"(max({load_run('objective_limit', where('measure', 'errors'))}) or vector({MOST_FAILED:g}))"
    ground = [
        *(prop("custom.axisPlacement", "hidden"), prop("unit", "none"), prop("min", 0), prop("max", 1)),
        *(prop("custom.fillOpacity", 20), prop("custom.lineWidth", 0), fixed(BAD)),
        *(prop("custom.lineInterpolation", "stepAfter"), prop("custom.showPoints", "never")),
    ]
    return (
        graph(
            title,
            description,
            "s",
            *queries,
            fast(f"max by (objective) ({load_run('objective_limit', measure)})", "{{objective}}"),
            fast(f"{bad} / ({ended} > 0) > bool {allowed}", FAILING),
            calcs=calcs,
            none=TOO_FEW,
        )
        .override_by_regexp("/[<>]/", [dashed(), fixed(BAD), prop("custom.lineWidth", 1)])
        .override_by_name(FAILING, ground)
        .override_by_regexp("/ compared$/", [dashed(), fixed("#8e8e8e")])
    )


FAILING = "too many failed"
_NOT_OK = 'outcome!="ok"'
