"""A running test -> its early end, in order, when an objective is not met or the token budget is spent.

Looks at the merged numbers, so it runs where they are: in the only process, or on the master. It only asks
for the end; what runs is drained and counts, and the results say who asked.
"""

import logging
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

log = logging.getLogger(__name__)


class EarlyStop:
    """Watches one test. `end(stop)` is called once, and has to begin the end of the test."""

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
