"""The graphs of a load test: load, times, outcomes, and what the probes saw meanwhile."""

from grafana_foundation_sdk.builders import statetimeline, timeseries
from looks import dashed, fixed, prop
from panels import Query, graph, line, stack, timeline
from queries import (
    RATE,
    SHIFTED,
    STILL_BEFORE,
    load_run,
    probe,
    scenario,
    share,
    total,
)
from service import PASSED

# Load is scraped more often than probes. With 10 s, Grafana takes rates over 40 s: enough for scrapes of 5 s
# to 15 s.
STEP = "10s"
TTFT, GAP, E2E = "time_to_first_token_seconds", "inter_chunk_gap_seconds", "end_to_end_seconds"
ENDED = "Of turns that went well, after the warm-up."


def users() -> timeseries.Panel:
    return graph(
        "Users and stage",
        "Simulated users; the stage of the load's shape, from 1, on the right axis.",
        "none",
        fast(total(load_run("users")), "users"),
        fast(f"max({load_run('stage_number')})", "stage"),
    ).override_by_name(
        "stage",
        [
            prop("custom.axisPlacement", "right"),
            prop("custom.lineInterpolation", "stepAfter"),
            dashed(),
            prop("decimals", 0),
        ],
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
    panel = graph(
        what,
        f"Send to the model's {times}, over the last 40 s at each point: few turns make a jagged line. "
        f"{ENDED} Dashed: the run before, at the same moment of it.",
        "s",
        fast(_quantile(50, histogram), "p50"),
        fast(_quantile(95, histogram), "p95"),
        fast(_quantile(99, histogram), "p99"),
        fast(_before(95, histogram), "p95 before"),
        calcs=("lastNotNull", "max"),
    )
    return panel.override_by_name("p95 before", [dashed(), fixed("#8e8e8e")])


def effective() -> timeseries.Panel:
    return graph(
        "Time to first token from the intended arrival",
        "Open model: what an arrival waited that could not start in time is in it, so a server that "
        f"freezes cannot hide (no coordinated omission). In a closed model both are the same. {ENDED}",
        "s",
        fast(_quantile(95, "time_to_first_token_effective_seconds"), "p95 from arrival"),
        fast(_quantile(95, TTFT), "p95 from send"),
        calcs=("lastNotNull", "max"),
    ).override_by_name("p95 from send", [dashed()])


def gaps() -> timeseries.Panel:
    return graph(
        "Gaps between chunks",
        f"How evenly answers stream under load, over the last 40 s at each point. {ENDED}",
        "s",
        fast(_quantile(50, GAP), "p50"),
        fast(_quantile(95, GAP), "p95"),
        fast(_quantile(99, GAP), "p99"),
        fast(_before(99, GAP), "p99 before"),
        calcs=("lastNotNull", "max"),
    ).override_by_name("p99 before", [dashed(), fixed("#8e8e8e")])


def outcomes() -> timeseries.Panel:
    return stack(
        "Outcomes a second",
        "Turns that ended, by outcome. Each is explained in docs/reference/outcomes.md.",
        "short",
        fast(f"sum by (outcome) (rate({scenario('turns_total')}[{RATE}])) > 0", "{{outcome}}"),
    ).override_by_name("ok", [fixed("dark-green")])


def failures() -> timeseries.Panel:
    bad = f"sum by (outcome) (rate({scenario('turns_total', _NOT_OK)}[{RATE}])) > 0"
    return stack(
        "Failed turns",
        "Share of the turns that ended, by outcome; the same as on the left without those that went well.",
        "percentunit",
        fast(
            f"({bad})\n  / on () group_left ()\nsum(rate({scenario('turns_total')}[{RATE}]))", "{{outcome}}"
        ),
        none="no failures",
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


def _before(percent: int, histogram: str) -> str:
    return f"{_quantile(percent, histogram, SHIFTED)} {STILL_BEFORE}"


def _quantile(percent: int, histogram: str, shift: str = "") -> str:
    rates = f"sum by (le) (rate({scenario(f'{histogram}_bucket')}[{RATE}]{shift}))"
    # Nothing ended: no quantile, rather than "not a number".
    return f"histogram_quantile({percent / 100:g}, {rates}) >= 0"


_NOT_OK = 'outcome!="ok"'
