"""Is the exporter itself well? A prober that is late or full measures itself."""

from grafana_foundation_sdk.builders import timeseries
from looks import BAD, WARN, prop
from page import At, line_up
from panels import faults, graph, line
from queries import RATE, THRESHOLDS, exporter, probe
from service import LATE

P = "astrbot_probe_exporter_"


def panels() -> list[At]:
    return [
        *line_up(0, 7, (lateness(), 8), (loop_lag(), 8), (skipped(), 8)),
        *line_up(7, 7, (in_flight(), 8), (resources(), 8), (config(), 8)),
    ]


def lateness() -> timeseries.Panel:
    return graph(
        "Time since the last run, in intervals",
        f"The most overdue probe of each target. Above 1 a run is due; above {THRESHOLDS.stale.intervals:g} "
        "the state shown is stale.",
        "none",
        line(f"max by (target) ({LATE})", "{{target}}"),
        limits=((THRESHOLDS.stale.intervals, WARN),),
    )


def loop_lag() -> timeseries.Panel:
    return graph(
        "Event-loop lag",
        "How late the exporter's own timers were at worst. Times of tokens are wrong by as much.",
        "s",
        line(exporter(f"{P}event_loop_lag_seconds"), "{{instance}}"),
        limits=((THRESHOLDS.loop_lag.seconds, BAD),),
    )


def skipped() -> timeseries.Panel:
    return faults(
        "Skipped runs",
        "Runs that did not start. budget: the day's tokens or runs are spent. overlap: the one before "
        "still ran. schedule: too many at once.",
        "none",
        line(f"sum by (cause) (increase({probe('skipped_total')}[{RATE}])) > 0", "{{cause}}"),
        seen=probe("skipped_total"),
    )


def in_flight() -> timeseries.Panel:
    return graph(
        "Runs in flight",
        "Runs that go on at the moment of the scrape.",
        "none",
        line(exporter(f"{P}runs_in_flight"), "{{instance}}"),
    ).decimals(0)


def resources() -> timeseries.Panel:
    return graph(
        "CPU and memory",
        "Of the exporter's process: share of one core, and resident memory on the right axis.",
        "percentunit",
        line(
            f"rate({exporter('process_cpu_seconds_total')}[{RATE}]) and on (job, instance) {BUILD}",
            "CPU {{instance}}",
        ),
        line(
            f"{exporter('process_resident_memory_bytes')} and on (job, instance) {BUILD}",
            "memory {{instance}}",
        ),
    ).override_by_regexp("/^memory/", [prop("unit", "bytes"), prop("custom.axisPlacement", "right")])


def config() -> timeseries.Panel:
    return (
        graph(
            "Config in force",
            "1: the config in force is the last one read. 0: the last one was refused, and the one before "
            "goes on.",
            "none",
            line(exporter(f"{P}config_last_reload_successful"), "{{instance}}"),
        )
        .max(1)
        .decimals(0)
    )


BUILD = exporter(f"{P}build_info")
