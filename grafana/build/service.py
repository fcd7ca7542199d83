"""The state of the service: the same panel at the top left of every dashboard about probes."""

from collections.abc import Iterable

from grafana_foundation_sdk.builders import stat
from looks import BAD, GOOD, UNKNOWN, WARN, States
from panels import now, state
from queries import probe, target, where

from astrometer.probing.status.layer_evidence import StateLayer
from astrometer.probing.status.state_by_layer import NOT_PROBED as NOT_PROBED_REASON
from astrometer.probing.status.state_by_layer import TargetStatus

# As the exporter calls a target, the worst first: looked up by name, shown in these words.
COLORS = {
    TargetStatus.SLOW: WARN,
    TargetStatus.DEGRADED: WARN,
    TargetStatus.UNKNOWN: UNKNOWN,
    TargetStatus.OK: GOOD,
}
STATUSES: States = {
    number: (status.value.replace("_", " ").upper(), COLORS.get(status, BAD))
    for number, status in enumerate(TargetStatus)
}
FAILING, DEGRADED, UNKNOWN_LAYER, OK, NOT_PROBED = range(5)
LAYERS: States = {
    FAILING: ("FAILING", BAD),
    DEGRADED: ("DEGRADED", WARN),
    UNKNOWN_LAYER: ("UNKNOWN", UNKNOWN),
    OK: ("OK", GOOD),
    NOT_PROBED: ("NOT PROBED", UNKNOWN),
}
PASSED: States = {0: ("fails", BAD), 1: ("passes", GOOD)}
LATE = (
    f"(time() - {probe('last_run_timestamp_seconds')})\n  / on (job, instance, target, probe) "
    f"(({probe('interval_seconds')}) > 0)"
)


def service() -> stat.Panel:
    return state(
        "Service",
        "The worst state of the chosen targets, as the exporter computes it from their recent runs. What the "
        "words mean: docs/reference/alerting.md, State by layer. NO DATA: no exporter answers.",
        now(ranked(target("target_state", where("state", status.value)) for status in TargetStatus)),
        STATUSES,
        none="NO DATA",
        none_color=BAD,
    )


def layer(name: StateLayer) -> stat.Panel:
    """The worst state of one layer."""
    here = where("layer", name.value)
    failing, degraded, unknown, good = (
        target("state", f"{here},{where('state', word)}") for word in ("failing", "degraded", "unknown", "ok")
    )
    not_probed = target("state_since_timestamp_seconds", f"{here},{where('reason', NOT_PROBED_REASON)}")
    asked = f"({unknown}) unless on (job, instance, target) {not_probed}"
    return state(
        f"Layer {name.label}",
        f"The worst state of the layer {name.label} of the chosen targets. UNKNOWN: nobody has asked lately, "
        "for want of a budget or of runs. NOT PROBED: no probe tells of it. NO DATA: no exporter answers.",
        now(ranked((failing, degraded, asked, good, unknown))),
        LAYERS,
        none="NO DATA",
        none_color=BAD,
    )


def ranked(series: Iterable[str]) -> str:
    """The place of the first of these that any target has at 1."""
    places = (f"0 * count(({one}) == 1) + {place}" for place, one in enumerate(series))
    return "\nor\n".join(places)
