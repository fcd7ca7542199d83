"""The server's process -> a sample each second beside the load, in the process that leads the run."""

import logging
import time
from collections.abc import Callable
from typing import Any

import gevent

from astrometer.load.run.run_clock import RunClock
from astrometer.load.server.process_reader import (
    ServerGoneError,
    ServerProcess,
    ServerProcessError,
    find_server,
)
from astrometer.measure.server_usage import (
    ServerEnd,
    ServerEndKind,
    ServerSample,
    ServerSeries,
    ServerUsage,
    usage_of,
)

STEP_S = 1.0
_HOW = {ServerEndKind.GONE: "is gone", ServerEndKind.RESTARTED: "has ended, and its number is another's"}

log = logging.getLogger(__name__)


class ServerWatch:
    """Of one run. `turns`: how many exchanges went well so far; `excluded_s`: ramp and warm-up.

    It reads in the load's own process: a reading takes less than a millisecond (`sampling_s` of the results
    says how long), and another process would take more.
    """

    def __init__(
        self, pid: int, url: str, clock: RunClock, turns: Callable[[], int], excluded_s: float = 0.0
    ) -> None:
        self.pid = pid
        self.ended: ServerEnd | None = None
        self._url = url
        self._clock = clock
        self._turns = turns
        self._excluded_s = excluded_s
        self._process: ServerProcess | None = None
        self._series = ServerSeries(excluded_s)
        self._spent_s, self._readings = 0.0, 0
        self._greenlet: Any = None

    def start(self) -> None:
        try:
            self._process = find_server(self.pid, self._url)
        except ServerProcessError as exc:  # it was there when this process began
            log.warning("the server's process cannot be watched: %s", exc)
            self._note_end(ServerEndKind.GONE)
            return
        if not self._process.listens:
            log.warning("process %d does not listen on the port of %s itself", self.pid, self._url)
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """With a last sample."""
        if self._greenlet is not None:
            self._greenlet.kill(block=False)
            self._greenlet = None
            self.sample()

    def sample(self) -> None:
        if self._process is None or self.ended is not None:
            return
        began = time.perf_counter()
        try:
            reading = self._process.read()
        except ServerGoneError as exc:
            self._note_end(exc.how)
            return
        self._spent_s += time.perf_counter() - began
        self._readings += 1
        self._series.add(
            ServerSample(
                t_s=self._elapsed_s,
                turns=self._turns(),
                **{name: getattr(reading, name) for name in reading.__slots__},
            )
        )

    def usage(self, excluded_s: float | None = None) -> ServerUsage:
        """Until now, or until nothing new began any more. `excluded_s`: more than was said at first."""
        return usage_of(
            self._series,
            pid=self.pid,
            listens=self._process is not None and self._process.listens,
            excluded_s=self._excluded_s if excluded_s is None else excluded_s,
            until_s=self._clock.elapsed_s,
            ended=self.ended,
            sampling_s=self._spent_s / self._readings if self._readings else None,
        )

    @property
    def _elapsed_s(self) -> float:
        """Also while the run is drained."""
        return self._clock.since_start(self._clock.now())

    def _note_end(self, how: ServerEndKind) -> None:
        self.ended = ServerEnd(t_s=self._elapsed_s, how=how)
        log.warning(
            "the server's process %d %s, %.1f s after the run began", self.pid, _HOW[how], self.ended.t_s
        )

    def _run(self) -> None:
        due = time.perf_counter()
        while self.ended is None:
            self.sample()
            due = max(due + STEP_S, time.perf_counter())
            gevent.sleep(due - time.perf_counter())
