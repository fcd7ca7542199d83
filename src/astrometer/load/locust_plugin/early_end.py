"""A test that ends -> whether that was before its time, and who ended it: a signal, the web UI, a locustfile.

A run without an end of its own (no run time, no profile, no search) is ended by hand, and by nothing else.
"""

import math
import signal
from collections.abc import Callable
from typing import Any

import gevent

from astrometer.measure.slo.run_verdict import Stop, StopReason
from astrometer.units import format_duration

SLACK_S = 1.0  # Locust's own timer, and a master that waits for its workers
_SAID = {
    StopReason.INTERRUPTED: "a signal (Ctrl-C or SIGTERM) came",
    StopReason.WEB_UI: "somebody stopped the test in the web UI",
    StopReason.LOCUSTFILE: "the locustfile, or another program, ended the test",
}


class EarlyEnd:
    """Of one process; a worker is told by its master."""

    def __init__(self) -> None:
        self._by: StopReason | None = None

    def begin(self) -> None:
        """A test starts."""
        self._by = None

    def interrupted(self) -> None:
        self._by = StopReason.INTERRUPTED

    def stopped_in_web_ui(self) -> None:
        self._by = self._by or StopReason.WEB_UI

    def stop_of(self, elapsed_s: float, planned_s: float | None) -> Stop | None:
        """Why a test that stops now was cut short; None: it was not. `planned_s`: of the whole test."""
        if planned_s is None or elapsed_s >= planned_s:
            return None
        by = self._by
        if by is None:
            if elapsed_s > planned_s - SLACK_S:
                return None
            by = StopReason.LOCUSTFILE
        end = "there was an answer" if math.isinf(planned_s) else f"the end at {format_duration(planned_s)}"
        return Stop(by=by, sentence=f"{_SAID[by]} before {end}", at_s=elapsed_s)


def hear_signals(heard: Callable[[], None]) -> None:
    """Call `heard` at SIGINT and SIGTERM, before Locust does what it does then.

    Python raises KeyboardInterrupt wherever it is, which may be a user that is about to count its exchange.
    The first one is raised where Locust waits for it; those that follow end a process that hangs.
    """
    pressed: list[int] = []

    def interrupt(number: int, frame: Any) -> None:
        heard()
        hub = gevent.get_hub()
        if pressed or gevent.getcurrent() is hub.parent:
            signal.default_int_handler(number, frame)
        pressed.append(number)
        hub.loop.run_callback_threadsafe(hub.parent.throw, KeyboardInterrupt)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    # Locust listens to SIGTERM through gevent, with the last handler alone.
    listen: Any = gevent.signal_handler

    def listen_and_hear(number: int, handler: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        def both() -> None:
            heard()
            handler(*args, **kwargs)

        return listen(number, both if number == signal.SIGTERM else handler)

    gevent.signal_handler = listen_and_hear
