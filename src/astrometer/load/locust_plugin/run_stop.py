"""A running test -> its end before its time, and who ended it: our own conditions, or somebody outside.

Who wants a test to end only asks for it; what runs is drained and counts, and the results say who asked.
"""

import logging
import math
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gevent

from astrometer.measure.slo.objectives import ObjectiveVerdict
from astrometer.measure.slo.run_verdict import Stop, StopReason
from astrometer.measure.slo.slo_parser import Unit
from astrometer.units import format_duration

if TYPE_CHECKING:
    from astrometer.load.run.run import Run
    from astrometer.measure.slo.objectives import ObjectiveResult

STEP_S = 1.0
SLACK_S = 1.0  # Locust's own timer, and a master that waits for its workers
_SAID = {
    StopReason.INTERRUPTED: "a signal (Ctrl-C or SIGTERM) came",
    StopReason.WEB_UI: "somebody stopped the test in the web UI",
    StopReason.LOCUSTFILE: "the locustfile, or another program, ended the test",
}

log = logging.getLogger(__name__)


class StopConditions:
    """Ours: an objective that is not met, a token budget that is spent.

    Looks at the merged numbers, so it runs where they are: in the only process, or on the master. `end(stop)`
    is called once, and has to begin the end of the test.
    """

    def __init__(self, run: "Run", end: Callable[[Stop], None]) -> None:
        self._run = run
        self._end = end
        self._greenlet: Any = None

    def start(self) -> None:
        settings = self._run.settings
        if settings.budget is not None or settings.abort_after_s is not None:
            self._greenlet = gevent.spawn(self._watch)

    def stop(self) -> None:
        if self._greenlet is not None:
            self._greenlet.kill(block=False)
            self._greenlet = None

    def _watch(self) -> None:
        while not self._run.is_over:
            gevent.sleep(STEP_S)
            stop = None if self._run.is_over else self.reason()
            if stop is not None:
                log.warning("the test is ended: %s", stop.sentence)
                self._end(stop)
                return

    def reason(self) -> Stop | None:
        """Why to stop now, or None. The budget comes first: it is money."""
        run = self._run
        if run.settings.budget is not None:
            why = run.settings.budget.why_stop(run.tally)
            if why is not None:
                return Stop(by=StopReason.BUDGET, sentence=why, at_s=run.clock.elapsed_s)
        return self._broken_objective()

    def _broken_objective(self) -> Stop | None:
        settings, elapsed_s = self._run.settings, self._run.clock.elapsed_s
        window_s = elapsed_s - settings.warmup_s
        if settings.abort_after_s is None or window_s < max(STEP_S, settings.abort_after_s):
            return None
        for item in self._run.objectives_so_far():
            if item.verdict is ObjectiveVerdict.FAIL:
                text = item.objective.text
                sentence = f"objective {text!r} was not met: {_shown(item)}, n={item.n}"
                return Stop(by=StopReason.OBJECTIVE, sentence=sentence, at_s=elapsed_s, objective=text)
        return None


def _shown(item: "ObjectiveResult") -> str:
    value = item.value if item.value is not None else float("nan")
    if item.objective.unit is Unit.SHARE:
        return f"{value:.2%}"
    if item.objective.unit is Unit.GROWTH:
        return f"{value / 1e6:.1f} MB/1000 turns"
    return f"{value:.3g}/s" if item.objective.unit is Unit.PER_SECOND else format_duration(value)


class OutsideStop:
    """Not ours: a signal, the web UI, the locustfile. Of one process; a worker is told by its master.

    A run without an end of its own (no run time, no profile, no search) is ended by hand and by nothing else.
    """

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
