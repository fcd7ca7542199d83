"""What fires now, since when, and what to do about it."""

from grafana_foundation_sdk.builders import stat, table
from leads import to_runbook, to_target
from looks import BAD, GOOD, WARN, cell, prop
from panels import column, now, number, rows, shaped
from queries import THRESHOLDS, target
from rulebook import alerts
from variables import firing, pending_since

NOBODY = "Nobody knows: no exporter of this choice, or Prometheus evaluates none of grafana/rules"
EVALUATED = 'ALERTS{alertname="AstrBotProbeWatchdog",alertstate="firing",job=~"$job|",target=~"$target|"}'
# Where nothing is watched, "none" would be a lie.
WATCHED = f"({EVALUATED} and on () {target('target_state')})"
SEVERITIES = {"page": BAD, "ticket": WARN}


def counted() -> stat.Panel:
    return number(
        "Alerts",
        "Alerts of the rules in grafana/rules that fire now for the chosen jobs and targets, or for none in "
        "particular, counted by alert and target. Unknown where no exporter is, or no watchdog of the rules.",
        "none",
        now(f"count(count by (alertname, target) ({firing('page|ticket')})) or 0 * count({WATCHED})"),
        colors=((None, BAD), (0, GOOD), (1, BAD)),
        none="unknown",
    )


def listed() -> table.Panel:
    since = f"min by (alertname, target, severity) ({pending_since('page|ticket')})"
    with_runbook = f'label_join({since}, "runbook", "", "alertname")'
    panel = rows(
        "What fires",
        "A line for each alert and target, pages before tickets, the newest first. Since: when its condition "
        "began to hold. A click on the target leads to its view and its failed runs, one on the runbook to "
        "what to do.",
        "none",
        column(
            f"sort_desc(1000 * {with_runbook}\n"
            f'or on () label_replace(0 * count({WATCHED}), "alertname", "nothing fires", "", ""))',
            "A",
        ),
        none=NOBODY,
    )
    columns = {
        "severity": "Severity",
        "alertname": "Alert",
        "target": "Target",
        "Value": "Since",
        "runbook": "Runbook",
    }
    pages = [
        {"type": "value", "options": {name: {"text": name, "color": color}}}
        for name, color in SEVERITIES.items()
    ]
    small = {"type": "value", "options": {name: {"text": name.lower()} for name in _names()}}
    never = {"type": "value", "options": {"0": {"text": "–"}}}
    return (
        shaped(panel, columns, sort_by="Severity")
        .override_by_name(
            "Severity", [prop("mappings", pages), cell("color-background"), prop("custom.width", 80)]
        )
        .override_by_name("Alert", [prop("custom.width", 190)])
        .override_by_name(
            "Since", [prop("custom.width", 130), prop("unit", "dateTimeFromNow"), prop("mappings", [never])]
        )
        .override_by_name("Target", [to_target("${__value.raw}")])
        .override_by_name("Runbook", [prop("mappings", [small]), to_runbook()])
    )


def _names() -> list[str]:
    return sorted(
        {rule["alert"] for group in alerts.groups(THRESHOLDS) for rule in group["rules"] if "alert" in rule}
    )
