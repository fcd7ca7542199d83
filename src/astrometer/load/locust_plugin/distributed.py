"""Workers' tallies -> the master's, without loss: deltas with every report, and a drain before the end.

Locust's master asks its workers to quit and waits half a second; users that still run then would be lost.
Here the master says "drain" first and waits until each worker has let its users finish (stop timeout) and
has sent its last report.
"""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import gevent
from gevent.event import Event
from locust.exception import RPCSendError
from locust.runners import STATE_INIT

from astrometer.load.locust_plugin import locust_patches, master_gone
from astrometer.load.locust_plugin.patience import Patience
from astrometer.load.run import process_report
from astrometer.load.run.record_log import Chunk, HandOverError
from astrometer.load.run.run import ELAPSED_OPTION, Run
from astrometer.measure.slo.validity import Cause, CauseKind

DRAIN = "astrometer_drain"
ABSENT = "astrometer_absent"
RELEASE = "astrometer_release"
RECORDS = "astrometer_records"
PART = "astrometer"  # our part of Locust's report
GRACE_S = 10.0  # for the first of the last reports, beyond the stop timeout; then for each further one
LIVE_STATES = ("ready", "spawning", "running", "cleanup")
NOTED_S = 0.5  # how often who takes part is looked up: that takes longer the more there are
CLOCK_S = 0.02  # how old the run may be said to be to a worker that joins it

log = logging.getLogger(__name__)


class WorkerSide:
    def __init__(self, runner: Any, current: Callable[[], Run | None]) -> None:
        self._runner = runner
        self._current = current
        self._sequence = 0
        self._final = False
        self._finishing = Event()
        self._finishing.set()
        locust_patches.know_own_options()
        master_gone.end_with_master(runner, lambda: self._current() is not None and not self._final)
        locust_patches.worker_messages.before_stop = self._finish
        runner.environment.events.report_to_master.add_listener(self._report)
        # Concurrent: while users finish, the worker must still hear its master.
        runner.register_message(DRAIN, self._drain, concurrent=True)
        runner.register_message(RELEASE, self._release)

    def begin(self) -> None:
        self._sequence = 0
        self._final = False
        run = self._current()
        if run is not None and run.records is not None:
            run.records.start(partial(self._send_records, run.id))

    def absent(self, reason: str | None = None) -> None:
        """Nothing will come from this worker. `reason`: why it could not begin what it was asked for."""
        self._runner.send_message(ABSENT, {"reason": reason})

    def finish(self) -> None:
        """Stop the users, let them finish within the stop timeout, and send the last report."""
        locust_patches.hear_no_spawns(self._runner)  # until the master says RELEASE
        if self._current() is None:
            self.absent()
        self._finish()

    def _finish(self) -> None:
        """Once a test; whoever comes second waits for its end."""
        self._finishing.wait()
        run = self._current()
        if run is None or self._final:
            return
        self._finishing.clear()
        try:
            run.no_more_arrivals()
            self._runner.stop()
            run.drain()
            run.health.stop()
            run.close()
            self._final = True
            locust_patches.send_report(self._runner)
        finally:
            self._finishing.set()

    def _drain(self, **_: Any) -> None:
        self.finish()

    def _send_records(self, run_id: str, chunk: Chunk) -> None:
        try:
            self._runner.send_message(RECORDS, {"run": run_id, **chunk._asdict()})
        except RPCSendError as exc:
            raise HandOverError from exc

    def _release(self, msg: Any, **_: Any) -> None:
        locust_patches.hear_spawns_after(self._runner, msg.data["t"])

    def _report(self, data: dict[str, Any], **_: Any) -> None:
        run = self._current()
        if run is None:
            return
        self._sequence += 1
        data[PART] = {
            **process_report.take(run),
            "sequence": self._sequence,
            "final": self._final,
        }


class MasterSide:
    """Merges what the workers send, and knows who is missing."""

    def __init__(self, runner: Any, current: Callable[[], Run | None]) -> None:
        self._runner = runner
        self._current = current
        self._sequences: dict[str, int] = {}
        self._asked: set[str] = set()  # workers that were asked for users, or went missing
        self._incomplete: set[str] = set()  # a report of theirs got lost
        self._final: set[str] = set()
        self._heard_s: dict[str, float] = {}  # since the run's start, at the last whole report
        self.lost_from_s: float | None = None  # after `drain`: from when on something is missing
        self._noted_at = 0.0
        self._clock: Any = None
        runner.environment.events.worker_report.add_listener(self._merge)
        runner.register_message(ABSENT, self._note_absence)
        runner.register_message(RECORDS, self._keep_records)

    def begin(self) -> None:
        self._sequences.clear()
        self._asked = {worker for worker, node in self._runner.clients.items() if node.state in LIVE_STATES}
        self._incomplete.clear()
        self._final.clear()
        self._heard_s.clear()
        self.lost_from_s = None
        if self._clock is not None:
            self._clock.kill(block=False)
        self._clock = gevent.spawn(self._tell_time)

    def drain(self, stop_timeout_s: float | None) -> int:
        """Have all workers finish and report; returns how many did not."""
        self._note_workers()
        for worker in list(self._runner.clients):
            self._runner.send_message(DRAIN, client_id=worker)
        # All of them report at once: hundreds of reports take a busy master longer than one.
        patience = Patience((stop_timeout_s or 0.0) + GRACE_S, GRACE_S)
        while self._awaited() and patience.lasts(len(self._final)):
            gevent.sleep(0.05)
        for worker in list(self._runner.clients):
            self._runner.send_message(RELEASE, {"t": locust_patches.steady_time()}, client_id=worker)
        # Whoever took part in this test must have said that it is done.
        lost = (set(self._sequences) | self._asked) - self._final
        for worker in sorted(lost):
            log.error("worker %s did not deliver its last report", worker)
        missing = lost | self._incomplete
        self.lost_from_s = min((self._heard_s.get(worker, 0.0) for worker in missing), default=None)
        return len(missing)

    def _awaited(self) -> set[str]:
        alive = {worker for worker, node in self._runner.clients.items() if node.state in LIVE_STATES}
        return (alive & (self._asked | set(self._sequences))) - self._final

    def _note_workers(self) -> None:
        """A worker may die before its first report, and Locust forgets a missing one after a minute.

        One that is still ready joined the run and was asked for nothing.
        """
        self._noted_at = time.monotonic()
        self._asked |= {
            worker
            for worker, node in self._runner.clients.items()
            if node.user_count or node.state != STATE_INIT
        }

    def _note_absence(self, msg: Any, **_: Any) -> None:
        run, worker, reason = self._current(), msg.node_id, msg.data["reason"]
        self._note_workers()
        if run is not None and worker not in self._final and (reason is not None or worker in self._asked):
            why = f"{worker}: {reason or 'it does not know why'}"
            run.note_cause(Cause(kind=CauseKind.WORKER_DID_NOT_BEGIN, detail=why))
        self._final.add(worker)

    def _keep_records(self, msg: Any, **_: Any) -> None:
        run, sent = self._current(), dict(msg.data)
        if run is not None and run.record_file is not None and sent.pop("run") == run.id:
            run.record_file.add(Chunk(**sent))

    def _tell_time(self) -> None:
        """A worker's options come with its first users: one that joins later learns how old the run is."""
        while (run := self._current()) is not None and not run.is_over:
            setattr(self._runner.environment.parsed_options, ELAPSED_OPTION, run.clock.elapsed_s)
            gevent.sleep(CLOCK_S)

    def _merge(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        run, part = self._current(), data.get(PART)
        if run is None or part is None or part["run"] != run.id:
            return
        if part["sequence"] != self._sequences.get(client_id, 0) + 1:
            self._incomplete.add(client_id)
        if client_id not in self._incomplete:
            self._heard_s[client_id] = run.clock.elapsed_s
        self._sequences[client_id] = part["sequence"]
        if time.monotonic() - self._noted_at > NOTED_S:
            self._note_workers()
        process_report.merge(run, client_id, part)
        if part["final"]:
            self._final.add(client_id)
