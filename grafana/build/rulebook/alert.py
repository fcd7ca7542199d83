"""What every alert says: how bad, to whom, what to read."""

from typing import Any

from rulebook.thresholds import Thresholds

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
    kept: str | None = None,
    symptom: bool = False,
    **labels: str,
) -> Rule:
    rule: Rule = {"alert": name, "expr": expr}
    if lasting is not None:
        rule["for"] = lasting
    if kept is not None:
        rule["keep_firing_for"] = kept
    kind = {"kind": "symptom"} if symptom else {}
    rule["labels"] = {"severity": severity, "route": route, **kind, **labels}
    rule["annotations"] = {
        "summary": summary,
        "description": description,
        "runbook_url": f"{t.runbooks.url}#{name.lower()}",
    }
    return rule


def at_least(count: int) -> str:
    """`increase` extrapolates: 3 events may count as 2.9 or 3.2."""
    return f"> {count - 0.5:g}"
