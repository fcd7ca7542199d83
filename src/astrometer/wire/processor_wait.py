"""How long a thread was ready to run and did not: the system counts it (Linux)."""

import os
from contextlib import suppress

_SCHEDSTAT = "/proc/thread-self/schedstat"  # ns on a processor, ns of waiting for one, how often


class ProcessorWait:
    """Of the thread that asks first, which must be the only one to ask."""

    def __init__(self) -> None:
        self._pid, self._file = 0, -1

    def seconds(self) -> float | None:
        """So far. None where the system does not say."""
        try:
            if self._pid != os.getpid():  # a fork has its parent's file
                self._pid, self._file = os.getpid(), os.open(_SCHEDSTAT, os.O_RDONLY | os.O_CLOEXEC)
            return int(os.pread(self._file, 64, 0).split()[1]) / 1e9
        except (OSError, IndexError):
            return None

    def close(self) -> None:
        with suppress(OSError):  # it was never asked
            os.close(self._file)
        self._pid, self._file = 0, -1
