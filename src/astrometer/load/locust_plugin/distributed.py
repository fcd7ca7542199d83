"""Workers' tallies -> the master's, without loss: deltas with every report, and a drain before the end.

Locust's master asks its workers to quit and waits half a second; users that still run then would be lost.
Here the master says "drain" first and waits until each worker has let its users finish (stop timeout) and
has sent its last report.
"""

import logging
import math
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import Event
from locust.runners import STATE_INIT, WorkerRunner

from astrometer.load.locust_plugin import capacity_shape, locust_patches, master_gone
from astrometer.load.locust_plugin.web_form import USER_FIELDS
from astrometer.load.options import OF_ONE_PROCESS
from astrometer.load.run import ELAPSED_OPTION, Run
from astrometer.measure.slo.validity import Cause, CauseKind
from astrometer.measure.tally import Tally

DRAIN = "astrometer_drain"
ABSENT = "astrometer_absent"
RELEASE = "astrometer_release"
PART = "astrometer"  # our part of Locust's report
LONGEST_INIT_S = 60.0
GRACE_S = 10.0  # for the last report, beyond the stop timeout
LIVE_STATES = ("ready", "spawning", "running", "cleanup")
CLOCK_S = 0.02  # how old the run may be said to be to a worker that joins it

log = logging.getLogger(__name__)


def hold_back_until(ready: Event) -> None:
    """Who joins a running test is told to begin before Locust has fired `init` here: nobody would hear it."""
    handle = WorkerRunner.handle_message

    def in_time(self: Any, msg: Any) -> None:
        msg.t_heard = time.perf_counter()
        if msg.type != "ack" and not ready.wait(LONGEST_INIT_S):  # the runner itself waits for that one
            ready.set()  # a program of somebody's own that never fires it
        handle(self, _without_what_is_ours(msg))

    WorkerRunner.handle_message = in_time  # type: ignore[method-assign]  # Locust's


def _without_what_is_ours(msg: Any) -> Any:
    """A master steers the load; it does not choose this machine's files, keys and ports."""
    if msg.type == "spawn":
        given = msg.data["parsed_options"]
        kept = {name: value for name, value in given.items() if name not in OF_ONE_PROCESS}
        msg.data = {**msg.data, "parsed_options": kept}
    elif msg.type == "update_user_class":
        msg.data = {name: value for name, value in msg.data.items() if name in USER_FIELDS}
    return msg


class WorkerSide:
    """Sends what this worker measured."""

    def __init__(self, runner: Any, current: Callable[[], Run | None]) -> None:
        self._runner = runner
        self._current = current
        self._sequence = 0
        self._final = False
        locust_patches.know_own_options()
        master_gone.end_with_master(runner, lambda: self._current() is not None and not self._final)
        runner.environment.events.report_to_master.add_listener(self._report)
        # Concurrent: while users finish, the worker must still hear its master.
        runner.register_message(DRAIN, self._drain, concurrent=True)
        runner.register_message(RELEASE, self._release)

    def begin(self) -> None:
        self._sequence = 0
        self._final = False

    def absent(self, reason: str | None = None) -> None:
        """Nothing will come from this worker. `reason`: why it could not begin what it was asked for."""
        self._runner.send_message(ABSENT, {"reason": reason})

    def finish(self) -> None:
        """Stop the users, let them finish within the stop timeout, and send the last report."""
        # The master may still be ramping up: what it asks for until it says RELEASE comes too late.
        self._runner.last_received_spawn_timestamp = math.inf
        run = self._current()
        if run is None:
            self.absent()
        if run is None or self._final:
            return
        run.no_more_arrivals()
        self._runner.stop()
        run.drain()
        run.health.stop()
        self._final = True
        self._runner._send_stats()  # noqa: SLF001 (Locust has no public way to report now)

    def _drain(self, **_: Any) -> None:
        self.finish()

    def _release(self, msg: Any, **_: Any) -> None:
        self._runner.last_received_spawn_timestamp = msg.data["t"]  # by the master's clock, like all of them

    def _report(self, data: dict[str, Any], **_: Any) -> None:
        run = self._current()
        if run is None:
            return
        self._sequence += 1
        data[PART] = {
            "run": run.id,
            "sequence": self._sequence,
            "final": self._final,
            "tally": run.tally.take().encode(),
            "health": run.health.take(),
            "intended": run.take_intended(),
            "sent": run.sent.take(),
            "slots": None if run.slot_book is None else run.slot_book.take(),
            "names": list(run.used_names()),
        }


class MasterSide:
    """Merges what the workers send, and knows who is missing."""

    def __init__(self, runner: Any, current: Callable[[], Run | None]) -> None:
        self._runner = runner
        self._current = current
        self._sequences: dict[str, int] = {}
        self._seen: set[str] = set()  # workers that were asked for users, or went missing
        self._incomplete: set[str] = set()  # a report of theirs got lost
        self._final: set[str] = set()
        self._heard_s: dict[str, float] = {}  # since the run's start, at the last whole report
        self.lost_from_s: float | None = None  # after `drain`: from when on something is missing
        self._clock: Any = None
        runner.environment.events.worker_report.add_listener(self._merge)
        runner.register_message(ABSENT, self._note_absence)

    def begin(self) -> None:
        self._sequences.clear()
        self._seen = {worker for worker, node in self._runner.clients.items() if node.state in LIVE_STATES}
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
        give_up = time.monotonic() + (stop_timeout_s or 0.0) + GRACE_S
        while time.monotonic() < give_up and self._awaited():
            gevent.sleep(0.05)
        for worker in list(self._runner.clients):
            self._runner.send_message(RELEASE, {"t": time.time()}, client_id=worker)
        # Whoever took part in this test must have said that it is done.
        lost = (set(self._sequences) | self._seen) - self._final
        for worker in sorted(lost):
            log.error("worker %s did not deliver its last report", worker)
        missing = lost | self._incomplete
        self.lost_from_s = min((self._heard_s.get(worker, 0.0) for worker in missing), default=None)
        return len(missing)

    def _awaited(self) -> set[str]:
        alive = {worker for worker, node in self._runner.clients.items() if node.state in LIVE_STATES}
        return (alive & (self._seen | set(self._sequences))) - self._final

    def _note_workers(self) -> None:
        """A worker may die before its first report, and Locust forgets a missing one after a minute.

        One that is still ready joined the run and was asked for nothing.
        """
        self._seen |= {
            worker
            for worker, node in self._runner.clients.items()
            if node.user_count or node.state != STATE_INIT
        }

    def _note_absence(self, msg: Any, **_: Any) -> None:
        run, worker, reason = self._current(), msg.node_id, msg.data["reason"]
        self._note_workers()
        if run is not None and worker not in self._final and (reason is not None or worker in self._seen):
            why = f"{worker}: {reason or 'it does not know why'}"
            run.note_cause(Cause(kind=CauseKind.WORKER_DID_NOT_BEGIN, detail=why))
        self._final.add(worker)

    def _tell_time(self) -> None:
        """A worker's options come with its first users: one that joins later learns how old the run is."""
        while (run := self._current()) is not None and not run.is_over:
            setattr(self._runner.environment.parsed_options, ELAPSED_OPTION, run.elapsed_s)
            gevent.sleep(CLOCK_S)

    def _merge(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        run, part = self._current(), data.get(PART)
        if run is None or part is None or part["run"] != run.id:
            return
        if part["sequence"] != self._sequences.get(client_id, 0) + 1:
            self._incomplete.add(client_id)
        if client_id not in self._incomplete:
            self._heard_s[client_id] = run.elapsed_s
        self._sequences[client_id] = part["sequence"]
        self._note_workers()
        run.tally.merge(Tally.decode(part["tally"]))
        run.note_health(client_id, part["health"])
        run.note_intended(part["intended"])
        run.sent.merge(part["sent"])
        if part["slots"] is not None:
            capacity_shape.note(self._runner.environment, client_id, part["slots"])
        run.note_names(client_id, part["names"])
        if part["final"]:
            self._final.add(client_id)
