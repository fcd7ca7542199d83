"""The state of the service: the same panel at the top left of every dashboard about probes."""

from grafana_foundation_sdk.builders import stat
from looks import BAD, GOOD, WARN, States
from panels import now, state
from queries import THRESHOLDS, probe
from rulebook.thresholds import seconds
from variables import firing

DOWN, FAILING, STALE, WELL = 0, 1, 2, 3
SERVICE: States = {
    DOWN: ("DOWN", "dark-red"),
    FAILING: ("FAILING", BAD),
    STALE: ("STALE", WARN),
    WELL: ("WELL", GOOD),
}
PASSED: States = {0: ("fails", BAD), 1: ("passes", GOOD)}
GRACE_S = seconds(THRESHOLDS.stale.grace)
LATE = (
    f"(time() - {probe('last_run_timestamp_seconds')})\n  / on (job, instance, target, probe) "
    f"(({probe('interval_seconds')}) > 0)"
)


def service() -> stat.Panel:
    success = probe("success")
    limit = f"{THRESHOLDS.stale.intervals:g} * {probe('interval_seconds')} + {GRACE_S:g}"
    late = f"(max(time() - {probe('last_run_timestamp_seconds')} - ({limit})) > bool 0)"
    all_of_them = f"max({success}) + 2 * min({success}) - min({success}) * {late}"
    return state(
        "Service",
        "The last run of every chosen probe. WELL: all passed. FAILING: at least one failed. DOWN: "
        "AstrBotDown fires for a chosen target, or none passed. STALE: all passed, but one has not run for "
        f"{THRESHOLDS.stale.intervals:g} of its intervals and {THRESHOLDS.stale.grace}. NO DATA: no exporter "
        "answers.",
        now(f"0 * count({firing('page', 'AstrBotDown')})\nor\n{all_of_them}"),
        SERVICE,
        none="NO DATA",
    )
