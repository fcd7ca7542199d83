"""Locust's events -> one `Run` per test: begun, drained, concluded. The order of all that is in this file.

It works the same in a single process, a worker and a master: `ProcessRole` says what a process does.
"""

import json
import logging
import math
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import gevent

from astrometer.api.endpoints import Scope
from astrometer.clock import shared_reading
from astrometer.config.secret import Secret
from astrometer.load.capacity import capacity_shape
from astrometer.load.live.progress import ProgressLine
from astrometer.load.locust_plugin import locust_patches, rate_sync
from astrometer.load.locust_plugin.distributed import MasterSide, WorkerSide
from astrometer.load.locust_plugin.run_stop import OutsideStop, StopConditions, hear_signals
from astrometer.load.options import Settings
from astrometer.load.run import process_report, run_journal, run_results
from astrometer.load.run.role import ProcessRole
from astrometer.load.run.run import ELAPSED_OPTION, RUN_ID_OPTION, START_OPTION, Run, new_run_id
from astrometer.load.schedule import shapes
from astrometer.measure.results import document
from astrometer.measure.slo.run_verdict import Stop, exit_code
from astrometer.output_files import reason, write_somewhere
from astrometer.tethered import tell

log = logging.getLogger(__name__)


class Once:
    """Work that many may ask for, done once. Whoever asks waits for its end, and may be killed meanwhile.

    In a greenlet of its own: Locust kills those that stop a test when another one stops it, too.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._greenlet: Any = None

    def __call__(self) -> None:
        """Raises what `work` raises."""
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._work)
        self._greenlet.get()


class Lifecycle:
    """The tests of one Locust process, one after the other. `host`: the server that the keys are for."""

    def __init__(self, environment: Any, keys: Mapping[Scope, Secret], host: str) -> None:
        self._environment = environment
        self._runner = environment.runner
        self._role = ProcessRole.of(self._runner)
        self._keys = keys
        self._host = host
        self._run: Run | None = None
        self._progress: ProgressLine | None = None
        self._stop_conditions: StopConditions | None = None
        self.outside_stop = OutsideStop()
        hear_signals(self.outside_stop.interrupted)
        self._drain = self._conclude = Once(lambda: None)
        self._master = MasterSide(self._runner, self.current) if self._role is ProcessRole.MASTER else None
        self._worker = WorkerSide(self._runner, self.current) if self._role is ProcessRole.WORKER else None
        self._rates = rate_sync.of(environment, self._role, self.current)

    def listen(self) -> None:
        """To Locust's events, in the order in which they come."""
        events = self._environment.events
        locust_patches.hear_first(events.test_start, self._on_start)  # what others do then may need the run
        events.test_stopping.add_listener(self._on_stopping)
        events.test_stop.add_listener(self._on_stop)
        # Locust's own listener tells the master that this worker is gone: its last report comes before.
        locust_patches.hear_first(events.quitting, self._on_quitting, in_reverse=True)

    @property
    def run(self) -> Run:
        if self._run is None:
            raise RuntimeError("no test has begun")
        return self._run

    def current(self) -> Run | None:
        """The test that goes on, or the last one; None before the first."""
        return self._run

    # --- a test begins

    def _on_start(self, **_: Any) -> None:
        self._run = None
        self.outside_stop.begin()
        try:
            self._begin()
        except Exception as exc:  # Locust logs it and goes on
            if self._worker is not None:
                self._worker.absent(str(exc) or type(exc).__name__)
            raise

    def _begin(self) -> None:
        self._complete_options()
        if self._worker is not None:
            locust_patches.collect_rarely()
        run = self._run = Run(self._environment, Settings.of(self._environment.parsed_options), self._keys)
        self._drain = Once(partial(self._drain_run, run))
        self._conclude = Once(partial(self._conclude_run, run))
        run.hear_requests()
        shapes.align(self._environment, run.clock.elapsed_s)
        capacity_shape.attach(self._environment, run)
        if self._role.loads:
            self._begin_loading(run)
        self._rates.begin()  # what was heard of the rate is for an engine that has started
        if self._role.leads:
            self._begin_leading(run)
        for side in (self._master, self._worker):
            if side is not None:
                side.begin()

    def _complete_options(self) -> None:
        """What the settings are read from; workers get theirs from the master."""
        parsed = self._environment.parsed_options
        if self._host:
            self._environment.host = self._host
        if self._role.leads:
            setattr(parsed, RUN_ID_OPTION, new_run_id())
            setattr(parsed, ELAPSED_OPTION, 0.0)
            setattr(parsed, START_OPTION, shared_reading(time.perf_counter()))
            shapes.begin(self._environment)
            capacity_shape.begin(self._environment)

    def _begin_loading(self, run: Run) -> None:
        run.health.start(run.settings.warmup_s - run.clock.elapsed_s)
        if run.open_model is not None:
            run.open_model.start()

    def _begin_leading(self, run: Run) -> None:
        run.requested.start()
        run.delivery.begin()
        if run.record_file is not None:
            run.record_file.begin()
            if run.records is not None and self._role.loads:
                run.records.start(run.record_file.add)
        if run.model is not None:
            run.model.watch()
        watch = run.server or run.pulse
        if watch is not None:
            watch.start()
        self._note_names(run, ended=False)
        self._stop_conditions = StopConditions(run, self._end_early)
        self._stop_conditions.start()
        if self._environment.parsed_options.astrometer_progress:
            self._progress = ProgressLine(run, lambda: self._runner.user_count)
            self._progress.start()

    # --- it ends

    def _end_early(self, stop: Stop) -> None:
        """As at the end of the run time: with a web UI the test stops, without one Locust ends."""
        self.run.stop = stop
        has_ui = self._environment.web_ui is not None
        gevent.spawn(self._runner.stop if has_ui else self._runner.quit)

    def _on_stopping(self, **_: Any) -> None:
        """Before Locust stops anything: who finds the test stopped ends the process at once."""
        if self._run is None:
            return
        if self._stop_conditions is not None:
            self._stop_conditions.stop()
        self._note_outside_stop(self._run)
        self._run.no_more_arrivals()
        if self._role.leads:
            self._drain()

    def _note_outside_stop(self, run: Run) -> None:
        if self._role.leads and not run.is_over and run.stop is None:
            run.stop = self.outside_stop.stop_of(run.clock.elapsed_s, self._planned_s(run))

    def _planned_s(self, run: Run) -> float | None:
        """How long the test was to be. None: until somebody ends it."""
        if run.search is not None:
            return None if capacity_shape.has_answer(self._environment) else math.inf
        lengths = [float(seconds) for seconds in (self._environment.parsed_options.run_time,) if seconds]
        if run.profile is not None:
            lengths.append(run.profile.duration_s)
        return min(lengths, default=None)

    def _drain_run(self, run: Run) -> None:
        if self._master is not None:
            # Locust's master waits half a second for the last reports; a stream may take longer to end.
            run.lost_workers = self._master.drain(self._environment.stop_timeout)
            run.lost_from_s = self._master.lost_from_s
        else:
            run.drain()

    def _on_stop(self, **_: Any) -> None:
        if self._role.leads:
            self._conclude()

    def _conclude_run(self, run: Run) -> None:
        """All users are gone, every exchange has its outcome."""
        if self._role is ProcessRole.LOCAL:
            process_report.conclude(run)
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
        watch = run.server or run.pulse
        if watch is not None:
            watch.stop()
        run.close()
        if run.record_file is not None:
            run.record_file.close()
        self._note_names(run, ended=True)
        run.delivery.conclude(run.tally)
        measured = run_results.results(run, self._environment)
        if run.settings.out is not None:
            _keep(run.settings.out, measured)
        announce(measured)
        if measured["verdict"] != "NONE":  # a run that was not judged keeps Locust's own code
            self._environment.process_exit_code = exit_code(measured)

    def _note_names(self, run: Run, *, ended: bool) -> None:
        if run.settings.journal is not None:
            started = run.clock.started_at
            run_journal.note(run.settings.journal, run.host, run.names.all(), started=started, ended=ended)

    def _on_quitting(self, **_: Any) -> None:
        if self._worker is not None:
            self._worker.finish()
        elif self._run is not None:
            if self._role is ProcessRole.LOCAL:
                self._runner.stop()
            else:  # its workers must not stop yet: they would not hear the `quit` that follows
                self._runner.stop(send_stop_to_client=False)
            # Whoever stopped it before may still be about to.
            self._drain()
            self._conclude()


def _keep(out: Path, measured: dict[str, Any]) -> None:
    """Where the results belong; else they are told to the parent, which keeps them; else another place."""
    try:
        document.write(out, measured)
    except OSError as exc:
        log.error("%s: the results cannot be written (%s)", out, reason(exc))  # noqa: TRY400 (it is all)
        if not tell(json.dumps(measured, allow_nan=False).encode() + b"\n"):
            write_somewhere(out, lambda folder: document.write(folder, measured), _say)


def _say(text: str) -> None:
    with suppress(OSError):
        sys.stderr.write(f"astrometer: {text}\n")
    log.error("%s", text)


def announce(measured: Mapping[str, Any]) -> None:
    """Say the verdict, and what it comes from, in Locust's log: where no report is at hand."""
    verdict = measured["verdict"]
    if verdict == "NONE":
        return
    why = [cause["sentence"] for cause in measured["causes"]] or [
        item["text"] for item in measured["objectives"] if item["verdict"] == verdict
    ]
    if verdict == "FAIL" and not why:
        why = ["no exchange succeeded"]
    level = logging.INFO if verdict == "PASS" else logging.WARNING
    log.log(level, "verdict %s%s%s", verdict, ": " if why else "", "; ".join(why))
