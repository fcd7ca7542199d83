"""What every alert says: how bad, to whom, what to read."""

from typing import Any

from rulebook.recording import P
from rulebook.thresholds import Thresholds, seconds

Rule = dict[str, Any]
TARGET = "{{ $labels.target }}"
PROBE = "{{ $labels.probe }} on {{ $labels.target }}"
COUNT = "{{ $value | printf `%.0f` }}"
SHARE = "{{ $value | humanizePercentage }}"
INSTANCE = "{{ $labels.instance }}"
DURATION = "{{ $value | humanizeDuration }}"


def alert(
    t: Thresholds,
    name: str,
    expr: str,
    *,
    severity: str,
    route: str,
    summary: str,
    description: str,
    lasting: str | None = None,
    symptom: bool = False,
    **labels: str,
) -> Rule:
    rule: Rule = {"alert": name, "expr": expr}
    if lasting is not None:
        rule["for"] = lasting
    inhibited = {"inhibited_by": "down"} if symptom else {}
    rule["labels"] = {"severity": severity, "route": route, **inhibited, **labels}
    rule["annotations"] = {
        "summary": summary,
        "description": description,
        "runbook_url": f"{t.runbooks.url}#{name.lower()}",
    }
    return rule


def at_least(count: int) -> str:
    """`increase` extrapolates: 3 events may count as 2.9 or 3.2."""
    return f"> {count - 0.5:g}"


def last_run(t: Thresholds, compared: str) -> str:
    """Probes, by the seconds since their last run: `>` those that do not run any more, `<=` those that do."""
    limit = f"{t.stale.intervals:g} * {P}interval_seconds + {seconds(t.stale.grace):g}"
    return f"time() - {P}last_run_timestamp_seconds {compared} {limit}"
