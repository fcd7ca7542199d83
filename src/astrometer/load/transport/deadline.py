"""Waiting for a socket until a deadline that keeps moving, at the least cost per event. gevent only."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Self

import gevent
from gevent import ssl

_READ = 1  # libev's EV_READ


class Expired(Exception):
    """The exchange's deadline passed."""


class Ring(BaseException):
    """The alarm's time has come; thrown into the greenlet that set it."""


class Alarm:
    """Wakes this greenlet at a time that keeps moving away, with few timers.

    Setting a timer for every `recv` costs CPU time per event. So the one that runs is left alone while the
    deadline only moves later; when it rings too early, about once per timeout, it is set anew.
    """

    def __init__(self) -> None:
        self._timer: Any = None
        self._rings_at = math.inf

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.close()

    def set(self, deadline: float, t: float) -> None:
        """Ring at `deadline` or earlier. Raises Expired when that has passed at `t`."""
        if deadline <= t:
            raise Expired
        if self._rings_at <= deadline:
            return
        if self._timer is not None:
            self._timer.close()
        gevent.get_hub().loop.update_now()  # or it counts from the start of the loop's round
        self._timer = gevent.Timeout.start_new(deadline - t, Ring)
        self._rings_at = deadline

    def has_rung(self) -> None:
        """Maybe a little early: gevent's clock stands still during a round of its loop."""
        self._rings_at = math.inf


@contextmanager
def readable(sock: Any) -> Iterator[Callable[[], object]]:
    """A function that waits until there is something to receive.

    `recv` would first try in vain, which is an exception per event. TLS has to: it may hold data back.
    """
    if isinstance(sock, ssl.SSLSocket):
        yield lambda: None
        return
    hub = gevent.get_hub()
    watcher = hub.loop.io(sock.fileno(), _READ)
    try:
        yield partial(hub.wait, watcher)
    finally:
        watcher.close()
