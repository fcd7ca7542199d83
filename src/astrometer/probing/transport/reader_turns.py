"""A thread that waits in `recvmsg` for one socket -> since when what it reads may have waited for it.

The kernel counts the segments that came. Where one came since the socket was seen to be empty, all that was
read arrived with it, however late the thread was. Of several it is known where the thread slept in `recvmsg`:
the first woke it, at most as long before the last as the thread then waited for a processor. It sleeps for
Python's lock, too: whoever slept more than once may have done that while they came.
"""

import math
import socket
import sys
from time import perf_counter, thread_time

from astrometer.wire.processor_wait import ProcessorWait
from astrometer.wire.tcp_info import data_segments

if sys.platform != "win32":
    import resource

_WAKING_S = 0.0001  # from a segment's arrival until this thread is ready to run


class ReaderTurns:
    """Of one thread, and the socket that it waits for. Linux.

    `begin`, a read, `end`, then `unread_since`.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._processor = ProcessorWait()
        self.segments = data_segments(sock)  # that had come when the last read was made
        self._read_segments = self.segments  # so many at least were read before it
        self._was_empty = False
        self._began = self._slept_s = self._busy_s = 0.0
        self._sleeps = 0

    def begin(self) -> float | None:
        """When the socket was empty; None: it is not."""
        segments = data_segments(self._socket)
        self._sleeps, self._busy_s, self._began = _sleeps(), self._busy(), perf_counter()
        self._was_empty = is_empty(self._socket)
        if not self._was_empty:
            return None
        self._read_segments = segments
        return self._began

    def end(self) -> None:
        self._busy_s = self._busy() - self._busy_s
        self._slept_s = perf_counter() - self._began - self._busy_s
        self._sleeps = _sleeps() - self._sleeps
        self.segments = data_segments(self._socket)

    def unread_since(self, t: float) -> float:
        """Of what was read, whose last byte came at `t`."""
        if self.segments is not None and self.segments - (self._read_segments or 0) == 1:
            self._read_segments = self.segments
            return math.inf
        # A sleep that ended after the last segment came is not the one that the first segment ended.
        slept_for_it = self._sleeps == 1 and t >= self._began + self._slept_s - _WAKING_S
        woken = self._was_empty and (self._sleeps == 0 or slept_for_it)
        return t - self._busy_s - _WAKING_S if woken else -math.inf

    def close(self) -> None:
        self._processor.close()

    def _busy(self) -> float:
        """How long this thread ran, or was ready to; NaN, which bounds nothing, where nobody says."""
        waited_s = self._processor.seconds()
        return math.nan if waited_s is None else waited_s + thread_time()


def is_empty(sock: socket.socket) -> bool:
    """Whether there is nothing to read: no data, no end, no error."""
    try:
        sock.recv(1, socket.MSG_PEEK | getattr(socket, "MSG_DONTWAIT", 0))
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _sleeps() -> int:
    """How often this thread gave its processor up to wait for something."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
