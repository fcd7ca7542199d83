"""The server's process beside the load: is it the machine that is full?"""

from grafana_foundation_sdk.builders import timeseries
from load_graphs import fast
from looks import prop
from page import At, line_up
from panels import faults, graph
from queries import RATE, load_run, total

NONE = "not sampled: give the run --server-pid PID"


def panels() -> list[At]:
    return line_up(0, 7, (cpu(), 6), (memory(), 6), (files(), 6), (log(), 6))


def cpu() -> timeseries.Panel:
    return graph(
        "CPU of the server",
        "Of its process and its children, in cores, and per turn that ended on the right axis. A server of "
        "one event loop is full at 1.",
        "none",
        fast(f"sum(rate({load_run('server_cpu_seconds_total')}[{RATE}]))", "cores"),
        fast(
            f"sum(rate({load_run('server_cpu_seconds_total')}[{RATE}]))\n  /\n"
            f"(sum(rate({load_run('turns_total')}[{RATE}])) > 0)",
            "per turn",
        ),
        none=NONE,
    ).override_by_name("per turn", [prop("unit", "s"), prop("custom.axisPlacement", "right")])


def memory() -> timeseries.Panel:
    return graph(
        "Memory and database of the server",
        "Resident memory, the database file and its write-ahead log.",
        "bytes",
        fast(total(load_run("server_resident_memory_bytes")), "memory"),
        fast(total(load_run("server_database_bytes")), "database"),
        fast(total(load_run("server_wal_bytes")), "log of the database"),
        none=NONE,
    )


def files() -> timeseries.Panel:
    return graph(
        "Threads and open files of the server",
        "Open sockets count as files. A line that keeps rising is a leak.",
        "none",
        fast(total(load_run("server_threads")), "threads"),
        fast(total(load_run("server_open_files")), "open files"),
        none=NONE,
    ).decimals(0)


def log() -> timeseries.Panel:
    return faults(
        "Warnings and errors in the server's log",
        "Lines a second since the test began, where its log is known.",
        "short",
        fast(f"sum by (level) (rate({load_run('server_log_lines_total')}[{RATE}])) > 0", "{{level}}"),
        seen=load_run("server_log_lines_total"),
        none="the server's log is not known",
    )
