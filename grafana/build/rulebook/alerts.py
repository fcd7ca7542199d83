"""Settings -> alert rules, in groups.

`route` says to whom an alert goes: `server` (AstrBot), `upstream` (the model behind it), `security` or
`monitoring` (astrometer itself). `kind="symptom"` marks what is to be expected of a server that is down;
a scope leak never has it.
"""

from typing import Any

from rulebook import messenger_alerts, own_alerts, slo_alerts, target_alerts
from rulebook.thresholds import Thresholds

FAMILIES = {
    "astrbot-slo": slo_alerts.ALL,
    "astrbot-target": (*target_alerts.ALL, *messenger_alerts.ALL),
    "astrbot-monitoring": own_alerts.ALL,
}


def groups(t: Thresholds) -> list[dict[str, Any]]:
    """All groups of alerts."""
    return [
        {
            "name": name,
            "interval": t.evaluation.short,
            "rules": [rule for family in members for rule in family(t)],
        }
        for name, members in FAMILIES.items()
    ]
