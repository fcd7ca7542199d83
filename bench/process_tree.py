"""A process and all that it starts -> CPU time and memory over time, by looking every now and then."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

LOOK_EVERY_S = 0.5


class ProcessTree:
    """What the tree of `pid` used. A child that lives between two looks is missed."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._cpu_s: dict[int, float] = {}
        self._looks: list[tuple[float, float]] = []  # perf_counter, CPU seconds of the tree until then
        self._peak_mib: dict[str, float] = {}  # resident, by command line

    def look(self) -> None:
        with suppress(psutil.Error):
            for process in (self._root, *self._root.children(recursive=True)):
                with suppress(psutil.Error):  # it has just ended
                    times = process.cpu_times()
                    self._cpu_s[process.pid] = times.user + times.system
                    command, mib = " ".join(process.cmdline()), process.memory_info().rss / 2**20
                    self._peak_mib[command] = max(mib, self._peak_mib.get(command, 0.0))
        self._looks.append((time.perf_counter(), sum(self._cpu_s.values())))

    def peak_mib(self, holding: str = "") -> float:
        """Resident memory of the largest process, of those with `holding` in their command line."""
        return max((mib for command, mib in self._peak_mib.items() if holding in command), default=0.0)

    def cpu_s(self, start: float, end: float) -> float | None:
        """CPU time between two readings of `perf_counter`, to the nearest looks within; None without two."""
        within = [look for look in self._looks if start <= look[0] <= end]
        if len(within) < 2:
            return None
        (first, used), (last, used_then) = within[0], within[-1]
        return (used_then - used) / (last - first) * (end - start)


@contextmanager
def watched(pid: int) -> Iterator[ProcessTree]:
    """Look until the block ends."""
    tree, over = ProcessTree(pid), threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_EVERY_S):
            tree.look()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield tree
    finally:
        over.set()
        thread.join()
