"""Users whose exchanges ended go on one after the other, for a millisecond; then sockets are read again.

Streams that begin together end together. To count a turn and to ask the next one takes some tenths of a
millisecond, and hundreds of them in a row would hold up every reader: what arrives meanwhile is merged, and
its times are uncertain. `gevent.sleep(0)` is no way out: its event loop looks at the clock, and then at the
sockets, only after fifty greenlets that are ready.
"""

import time
from collections import deque
from collections.abc import Callable

import gevent
from gevent.hub import Waiter

SLICE_S = 0.001


class Turnstile:
    """Of one event loop. Who waits is let through in order, and nobody waits for ever."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._waiting: deque[Waiter] = deque()
        # Its callback comes in the next round of the loop after `send`, beside what the sockets have.
        self._next_round = gevent.get_hub().loop.async_()

    def wait(self) -> None:
        waiter = Waiter()
        if not self._waiting:
            self._next_round.start(self._let_through)
            self._next_round.send()
        self._waiting.append(waiter)
        waiter.get()

    def _let_through(self) -> None:
        try:
            until = self._now() + SLICE_S
            while self._waiting:
                self._waiting[0].switch(None)
                self._waiting.popleft()
                if self._now() >= until:
                    break
        finally:  # Ctrl-C may come anywhere in here, and the others still wait
            if self._waiting:
                self._next_round.send()
            else:
                self._next_round.stop()


def breathe() -> None:
    """Let the event loop read what has arrived, before this greenlet goes on."""
    hub = gevent.get_hub()
    turnstile = getattr(hub, "astrometer_turnstile", None)
    if turnstile is None:
        turnstile = hub.astrometer_turnstile = Turnstile()
    turnstile.wait()
