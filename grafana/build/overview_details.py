"""Why, how fast, and target by target: the lower rows of the overview."""

from grafana_foundation_sdk.builders import bargauge, table, timeseries
from leads import to_outcome, to_target
from looks import BAD, GOOD, PLAIN, WARN, cell, colored, fixed, prop, worded
from panels import NOBODY, bars, column, faults, graph, line, now, rows, shaped
from queries import RANGE, RATE, WINDOW, failed_for, probe, probe_quantile, share, target, total, where
from rulebook import reasons
from service import LATE, STATUSES

from astrometer.probing.status.state_by_layer import TargetStatus

LAYER_COLORS = {
    "network": "purple",
    "server": BAD,
    "upstream": WARN,
    "messenger": "dark-orange",
    "auth": "yellow",
    "content": "super-light-blue",
    "client": PLAIN,
    "probe": "#707684",
}
PASSING = ((None, BAD), (0.95, WARN), (0.99, GOOD))
SLOWER = ((None, "text"), (0.25, WARN), (1.0, BAD))  # than last week
TTFT = "time_to_first_token_seconds"


def by_layer() -> timeseries.Panel:
    queries = [
        line(
            f"sum(increase({probe('failures_total', failed_for(names))}[{RATE}])) > 0",
            layer,
        )
        for layer, names in reasons.layers().items()
    ]
    panel = faults(
        "Failures by layer",
        "Failed runs by where the first cause lies. network: not reached. server: AstrBot answered wrongly. "
        "upstream: the model behind it. messenger: no reply there, or a wrong one. auth: the key. "
        "content: the answer is not the one asked for. "
        "client, probe: on our side. Each bar counts over the last few scrapes.",
        "none",
        *queries,
        seen=f"increase({probe('runs_total')}[{RATE}])",
    )
    for layer, color in LAYER_COLORS.items():
        panel = panel.override_by_name(layer, [fixed(color)])
    return panel


def by_reason() -> bargauge.Panel:
    finished = total(f"increase({probe('runs_total')}[{RANGE}])")
    return (
        bars(
            "Failures by cause",
            "The ten most frequent first causes in the time range, explained in docs/reference/outcomes.md.",
            "none",
            now(
                f"topk(10, sum by (reason) (increase({probe('failures_total')}[{RANGE}])) > 0)\n"
                f"or on () label_replace(0 * ({finished} > 0), 'reason', 'no failures', '', '')",
                "{{reason}}",
            ),
            colors=((None, GOOD), (0.5, BAD)),
            none=NOBODY,
        )
        .decimals(0)
        .override_by_regexp("/.*/", [to_outcome()])
    )


def first_token() -> timeseries.Panel:
    return (
        graph(
            "Time to first token by target",
            "Over the window chosen above, sliding. p50 is withheld below 20 answers in it, p95 below 200: "
            "a probe a minute needs four hours for a p95.",
            "s",
            line(probe_quantile(50, TTFT, WINDOW, "target"), "{{target}} p50"),
            line(probe_quantile(95, TTFT, WINDOW, "target"), "{{target}} p95"),
            calcs=("lastNotNull",),
        )
        .override_by_regexp("/ p50$/", [prop("custom.lineWidth", 1)])
        .override_by_regexp("/.*/", [to_target()])
    )


def duration() -> timeseries.Panel:
    took = total(f"increase({probe('duration_seconds_sum')}[{RATE}])", "probe")
    return graph(
        "Duration by probe",
        "Mean duration of a run, request start to the end of the answer; failed runs included.",
        "s",
        line(
            share(took, total(f"increase({probe('duration_seconds_count')}[{RATE}])", "probe")), "{{probe}}"
        ),
        calcs=("lastNotNull", "max"),
    )


def targets() -> table.Panel:
    failures = total(f"increase({probe('failures_total')}[{RANGE}])", "target")
    finished = total(f"increase({probe('runs_total')}[{RANGE}])", "target")
    since = target("target_state_since_timestamp_seconds")
    ttft, a_week_ago = (
        probe_quantile(50, TTFT, RANGE, "target", shift=shift) for shift in ("", " offset 1w")
    )
    panel = rows(
        "Targets",
        "A line for each target: its state as the exporter computes it, the layer that decides it, the most "
        "frequent reason, and since when. AstrBot's version as far as it was found out; runs passed and TTFT "
        "p50 over the time range, and against the same hours a week ago; LATE: the most overdue probe, in "
        "intervals.",
        "none",
        column(f"min by (target) ({ranked_by_target()})", "A"),
        column(_nothing_to_say(f"1000 * max by (target, layer, reason) ({since})"), "H"),
        column(f"max by (target, version) ({target('target_info')})", "B"),
        column(f"1 - {share(failures, finished)}", "C"),
        column(ttft, "D"),
        column(f"({ttft}) / ({a_week_ago}) - 1", "I"),
        column(f"max by (target) ({LATE})", "E"),
        column(f"min by (target) ({target('cert_expiry_timestamp_seconds')} - time())", "F"),
        column(f"min by (target) ({target('budget_tokens_remaining')})", "G"),
        none="–",
    )
    names = {
        "target": "Target",
        "Value #A": "State",
        "layer": "Layer",
        "reason": "Why",
        "Value #H": "Since",
        "version": "AstrBot",
        "Value #C": "Runs passed",
        "Value #D": "TTFT p50",
        "Value #I": "to last week",
        "Value #E": "Late",
        "Value #F": "Certificate",
        "Value #G": "Tokens left",
    }
    limits = ((None, "text"), (2, WARN), (3, BAD))
    return (
        shaped(panel, names, sort_by="State")
        .override_by_name("Target", [to_target("${__value.raw}")])
        .override_by_name("Why", [to_outcome("${__value.raw}")])
        .override_by_name("State", [worded(STATUSES), cell("color-background"), prop("custom.width", 130)])
        .override_by_name("Since", [prop("unit", "dateTimeFromNow")])
        .override_by_name(
            "Runs passed",
            [prop("unit", "percentunit"), prop("decimals", 2), colored(*PASSING), cell("color-text")],
        )
        .override_by_name("TTFT p50", [prop("unit", "s")])
        .override_by_name(
            "to last week",
            [prop("unit", "percentunit"), prop("decimals", 0), colored(*SLOWER), cell("color-text")],
        )
        .override_by_name("Late", [prop("decimals", 1), colored(*limits), cell("color-text")])
        .override_by_name("Certificate", [prop("unit", "s"), prop("decimals", 0)])
        .override_by_name("Tokens left", [prop("unit", "short")])
    )


def _nothing_to_say(query: str) -> str:
    """What is well has no layer at fault and no reason."""
    for label in ("layer", "reason"):
        query = f'label_replace({query}, "{label}", "–", "reason", "ok|–")'
    return query


def ranked_by_target() -> str:
    """The place of each target's state among all, the worst first."""
    return "\nor\n".join(
        f"{place} * ({target('target_state', where('state', status.value))} == 1)"
        for place, status in enumerate(TargetStatus)
    )
