"""Is the load generator sound? The limits are those that make a run INVALID."""

from grafana_foundation_sdk.builders import stat, timeseries
from looks import BAD, GOOD, States
from page import At, line_up
from panels import graph, line, now, state
from queries import last, load_run

from astrometer.measure.slo.validity import GENERATOR_LIMITS, CauseKind

MAX_LOOP_LAG_S, MAX_SCHEDULE_LAG_S, MAX_CPU = (
    GENERATOR_LIMITS[kind].limit for kind in (CauseKind.LOOP_LAG, CauseKind.SCHEDULE_LAG, CauseKind.CPU)
)
TRUST: States = {0: ("SOUND", GOOD), 1: ("INVALID", BAD)}


def panels() -> list[At]:
    return line_up(0, 7, (loop_lag(), 7), (schedule_lag(), 6), (cpu(), 6), (processes(), 5))


def trust() -> stat.Panel:
    broken = [last(load_run(f"generator_{name}")) + " > 0" for name in ("invalid", "lost_workers")]
    return state(
        "Generator",
        "Of the chosen run. INVALID: the load generator itself was late, full or lost a worker, so that "
        "times are its own and not AstrBot's. The verdict in the results may know more reasons. NONE: no "
        "run in the time range.",
        now(f"1 + 0 * count({' or '.join(broken)})\n  or 0 * count({last(load_run('generator_processes'))})"),
        TRUST,
        none="NONE",
    )


def loop_lag() -> timeseries.Panel:
    return graph(
        "Event-loop lag",
        f"Of the worst process, over the whole test. Where the kernel does not stamp what arrives, a p99 "
        f"above {MAX_LOOP_LAG_S * 1000:g} ms makes the test INVALID.",
        "s",
        line(load_run("generator_loop_lag_p99_seconds"), "p99", min_step="10s"),
        line(load_run("generator_loop_lag_max_seconds"), "max", min_step="10s"),
        limits=((MAX_LOOP_LAG_S, BAD),),
    )


def schedule_lag() -> timeseries.Panel:
    return graph(
        "Late starts, p99",
        f"How late turns of an open model began, over the whole test. Above {MAX_SCHEDULE_LAG_S * 1000:g} "
        "ms it is INVALID. A closed model has no schedule.",
        "s",
        line(load_run("generator_schedule_lag_p99_seconds"), "{{instance}}", min_step="10s"),
        limits=((MAX_SCHEDULE_LAG_S, BAD),),
        none="no schedule",
    )


def cpu() -> timeseries.Panel:
    return graph(
        "CPU of the busiest process",
        f"Its busiest five seconds, of one core. Above {MAX_CPU:.0%} the test is INVALID: use more "
        "processes.",
        "percentunit",
        line(load_run("generator_cpu_ratio"), "{{instance}}", min_step="10s"),
        limits=((MAX_CPU, BAD),),
    ).axis_soft_max(1)


def processes() -> timeseries.Panel:
    return graph(
        "Processes",
        "Load processes that have reported, and workers that were lost.",
        "none",
        line(load_run("generator_processes"), "processes", min_step="10s"),
        line(load_run("generator_lost_workers"), "lost", min_step="10s"),
    ).decimals(0)
