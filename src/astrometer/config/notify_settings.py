"""Who is told on a change of state, how, and from which severity on. Frozen.

The URL of a receiver lets everybody write to it: it is a secret.
"""

import json
import re
from dataclasses import dataclass
from enum import StrEnum

from astrometer.config.secret import Secret

HOLD_S = 30.0
# What a template may name.
FIELDS = ("title", "text", "target", "status", "severity", "layer", "reason")
DEFAULT_TEMPLATE = json.dumps({name: f"{{{name}}}" for name in FIELDS})
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


class ReceiverKind(StrEnum):
    """How a receiver is reached. Values are keys of the config."""

    WEBHOOK = "webhook"
    KUMA = "kuma"
    APPRISE = "apprise"


class Severity(StrEnum):
    """As the alert rules have it: a page wakes somebody, a ticket can wait."""

    TICKET = "ticket"
    PAGE = "page"

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Who is told. `targets` None: of all. `after_s`: how long a problem lasts before it is told."""

    name: str
    kind: ReceiverKind
    url: Secret
    template: str = DEFAULT_TEMPLATE
    min_severity: Severity = Severity.TICKET
    targets: tuple[str, ...] | None = None
    after_s: float = HOLD_S
