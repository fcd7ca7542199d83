"""The URL of a server -> the CPU that it has had, where it is a sandbox of this machine."""

from contextlib import suppress
from urllib.parse import urlsplit

import psutil

from astrometer.targets.sandbox.sandbox_state import processes_of, states


def server_process(url: str) -> psutil.Process | None:
    """The AstrBot that listens there; None when it is none of our sandboxes."""
    port = urlsplit(url).port
    for state in states():
        if state.url != url:
            continue
        for process in processes_of(state.id):
            with suppress(psutil.Error):
                if any(
                    c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in process.net_connections()
                ):
                    return process
    return None


def cpu_s(process: psutil.Process | None) -> float | None:
    """User and system time of all of its threads so far; None when it is gone, or was never known."""
    if process is None:
        return None
    try:
        times = process.cpu_times()
    except psutil.Error:
        return None
    return float(times.user + times.system)
