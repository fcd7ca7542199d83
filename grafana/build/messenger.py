"""Is a user in a messenger answered, how soon, and if not: is it the link, the reply, or what is behind?"""

from grafana_foundation_sdk.builders import stat, statetimeline, timeseries
from looks import BAD, GOOD, UNKNOWN, WARN, States, fixed, prop
from panels import graph, line, now, stack, state, timeline
from queries import (
    RATE,
    THRESHOLDS,
    WINDOW,
    exporter,
    failed_for,
    probe,
    probe_quantile,
    share,
    target,
    total,
)
from rulebook import reasons
from service import LATE
from variables import EXPORTERS

REPLY = "time_to_first_reply_seconds"
NO_LINK, SILENT, FAILING, STALE, WELL, LINK_ONLY, NOT_YET, NOT_SET_UP = range(8)
STATES: States = {
    NO_LINK: ("NO LINK", "dark-red"),
    SILENT: ("SILENT", BAD),
    FAILING: ("FAILING", BAD),
    STALE: ("STALE", WARN),
    WELL: ("WELL", GOOD),
    LINK_ONLY: ("LINK CHECK ONLY", GOOD),
    NOT_YET: ("NOT YET", UNKNOWN),
    NOT_SET_UP: ("NOT SET UP", UNKNOWN),
}
NOTHING = "no messenger set up, or no question yet"
# A probe has this series exactly if it asks in a messenger.
ASKS = f"on (job, instance, target, probe) {probe(f'{REPLY}_count')}"
# Of a target whose probe im checks the link, and that nobody asks anything in a messenger.
CHECKED = target("state", 'layer="messenger",state="ok"') + " == 1"
UNASKED = f"unless on (job, instance, target) {probe(f'{REPLY}_count')}"
LAST = "last_run_info"


def _ended(names: tuple[str, ...]) -> str:
    return f"({probe(LAST, failed_for(names))} and {ASKS})"


def _state(of: str) -> str:
    """The worst first. `of`: an aggregation that makes one of the series."""
    gone = f"({probe(LAST, failed_for(['lost_link']))} or {_ended(reasons.link())})"
    late = f"({LATE} > {THRESHOLDS.stale.intervals:g} and {ASKS})"
    seen = (
        (NO_LINK, gone),
        (SILENT, _ended(reasons.replies())),
        (FAILING, f"(({probe('success')} and {ASKS}) == 0)"),
        (STALE, late),
        (WELL, f"(({probe('success')} and {ASKS}) == 1)"),
        (LINK_ONLY, f"({CHECKED} {UNASKED})"),
        (NOT_YET, probe(f"{REPLY}_count")),
    )
    return "\nor\n".join(f"{number} + 0 * {of} ({series})" for number, series in seen)


def state_now() -> stat.Panel:
    return state(
        "Messenger",
        "The last run of every chosen probe that asks in a messenger. NO LINK: an adapter has no messenger, "
        "or does not let the probe in. SILENT: no reply, or a wrong one. FAILING: another failure, such as "
        "the model's. STALE: all passed, but one has not run for "
        f"{THRESHOLDS.stale.intervals:g} of its intervals. LINK CHECK ONLY: the probe im finds a messenger "
        "connected, and no probe asks in it. NOT YET: no run has ended. NOT SET UP: no chosen target has a "
        "messenger for probes. NO DATA: no exporter answers.",
        now(f"{_state('count')}\nor\n{NOT_SET_UP} + 0 * count({exporter(EXPORTERS)})"),
        STATES,
        none="NO DATA",
        none_color=BAD,
    )


def over_time() -> statetimeline.Panel:
    return timeline(
        "Messenger over time",
        "By target and probe, the states of the left. Where im_chat asks, too, a link check of the probe im "
        "is there while it fails.",
        line(_state("min by (target, probe)"), "{{target}} {{probe}}"),
        STATES,
    ).no_value("no messenger set up")


def replies() -> timeseries.Panel:
    took, count = (
        total(f"increase({probe(f'{REPLY}_{what}')}[{RATE}])", "target") for what in ("sum", "count")
    )
    return (
        graph(
            "Time to first reply by target",
            "Send to the first message of the answer, of good answers. Points: each run, or the mean of "
            "those between two scrapes. Lines: p50 and p95 over the window chosen above, withheld below 20 "
            "and 200 answers: an hourly probe needs a day for a p50. AstrBot sends an answer when it is "
            "whole.",
            "s",
            line(share(took, count), "{{target}}"),
            line(probe_quantile(50, REPLY, WINDOW, "target"), "{{target}} p50"),
            line(probe_quantile(95, REPLY, WINDOW, "target"), "{{target}} p95"),
            calcs=("lastNotNull",),
            none="no good reply in the time range",
        )
        .override_by_regexp("/^(?!.* p(50|95)$)/", [prop("custom.drawStyle", "points")])
        .override_by_regexp("/ p50$/", [prop("custom.lineWidth", 1)])
    )


def outcomes() -> timeseries.Panel:
    asked, failed = (
        f"increase({probe(name)}[{RATE}]) and {ASKS}" for name in ("runs_total", "failures_total")
    )
    panel = stack(
        "Questions in a messenger by outcome",
        "ok: answered once, with the word that was asked for. The others are explained in "
        "docs/reference/outcomes.md. Each bar counts over the last few scrapes.",
        "none",
        line(f"sum({asked}) - sum({failed}) > 0", "ok"),
        line(f"sum by (reason) ({failed}) > 0", "{{reason}}"),
        none=NOTHING,
    )
    for outcome, color in {"ok": GOOD, "silent": BAD, "lost_link": "dark-red", "connect": "purple"}.items():
        panel = panel.override_by_name(outcome, [fixed(color)])
    return panel
