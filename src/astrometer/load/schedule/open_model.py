"""Locust users as shares of a rate -> arrivals at their intended times. The open model, in one load process.

In the open model each user that Locust spawns stands for `--rate-unit` arrivals per second, so Locust's
spawning, shapes, workers and web UI steer a rate, of which `rate_sync` tells. Those users only wait; this
engine starts its share of the arrivals on the schedule of `arrivals`, each in a greenlet of its own,
whether or not earlier ones are done. A late start is schedule lag; an arrival beyond the cap of running ones
is counted as dropped, and so is one whose task ends before it asks anything.

With `--workload` an arrival is a conversation, most of which is pauses. When the rate rises, as many are
under way at once as there would be had it always been so high; when it falls, as many end.
"""

import logging
import math
import random
import time
import traceback
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gevent
from gevent.event import Event
from gevent.pool import Group
from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopTest, StopUser
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING, DefaultTaskSet

from astrometer.load import own_random
from astrometer.load.schedule.arrivals import WHOLE, Arrivals, IntendedArrival, Process, Share

log = logging.getLogger(__name__)

LONGEST_SLEEP_S = 0.5
# Workers are told of a change of the rate so long before it is due, so that all have heard of it in time.
LEAD_S = 0.1
_TASK_ENDS = (StopUser, StopTest, InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """From `t` (`perf_counter`) on there are so many users of each class, in all processes together."""

    t: float
    users: Mapping[str, int]
    share: Share = WHOLE  # of this process
    user_seconds: Mapping[str, float] | None = None  # until `t`; None: nobody but this process counts them


# ruff: noqa: SLF001 (what Locust's runner does with a user, this engine does with a performer)
class OpenModel:
    """Starts the arrivals of one process. `unit`: arrivals per second of one of Locust's users."""

    def __init__(
        self,
        environment: Any,
        *,
        unit: float,
        process: Process,
        seed: int,
        max_in_flight: int,
        paused_s: float = 0.0,
    ) -> None:
        self._environment = environment
        self._unit = unit
        self._process = process
        self._seed = seed
        self._max_in_flight = max_in_flight
        self._paused_s = paused_s  # by a conversation of the workload, in all
        self._rates: dict[type, float] = defaultdict(float)  # of this process
        self._joined = 0  # conversations that were under way when they began, in this process
        self._random = random.Random(seed)  # noqa: S311 (reproducible, no secret)
        self._changes: deque[Change] = deque()  # of the rate, still to come
        self._schedules: dict[type, Arrivals] = {}
        self._idle: dict[type, list[Any]] = defaultdict(list)
        self._busy: set[Any] = set()
        self._running = Group()
        self._changed = Event()
        self._greenlet: Any = None
        self._intended = 0

    @property
    def in_flight(self) -> int:
        """Those that pause ask nothing."""
        paused = [performer for performer in self._busy if performer._state == LOCUST_STATE_WAITING]
        return len(self._running) - len(paused)

    def take_intended(self) -> int:
        """Arrivals since the last call."""
        taken, self._intended = self._intended, 0
        return taken

    def start(self) -> None:
        self._greenlet = gevent.spawn(self._run)

    def hold(self, user: Any) -> None:
        """What a spawned user does instead of its tasks: stand for its share of the rate until stopped."""
        user._state = LOCUST_STATE_WAITING  # Locust may stop it at any time
        Event().wait()

    def change(self, change: Change) -> None:
        """Hear of a change of the rate; they come in order."""
        if self._greenlet is not None:
            self._changes.append(change)
            self._changed.set()

    def no_more_arrivals(self) -> None:
        """The window ends: what was due until now still starts, nothing after it does."""
        if self._greenlet is None:
            return
        self._greenlet.kill(block=False)
        self._start_due(time.perf_counter())
        self._greenlet = None
        self._changes.clear()
        self._schedules.clear()

    def drain(self, timeout_s: float | None) -> None:
        """Let running arrivals end within `timeout_s`; what still runs then is cut off, and counted so."""
        for performer in list(self._busy):
            if performer._state == LOCUST_STATE_WAITING:  # perhaps for minutes
                self._running.killone(performer._greenlet, block=False)
            else:
                performer._state = LOCUST_STATE_STOPPING  # its next `wait` ends the task
        self._running.join(timeout=timeout_s or 0)
        self._running.kill(block=True)
        for performers in self._idle.values():
            for performer in performers:
                performer.on_stop()
        self._idle.clear()

    def _follow(self, change: Change) -> None:
        kinds = {kind.__name__: kind for kind in self._environment.user_classes}
        for stream, name in enumerate(sorted(change.users)):
            kind = kinds[name]
            if kind not in self._schedules:
                self._schedules[kind] = Arrivals(self._process, seed=self._seed, stream=stream)
            rate = change.users[name] * self._unit
            so_far = None if change.user_seconds is None else change.user_seconds[name] * self._unit
            for arrival in self._schedules[kind].change(change.t, rate, change.share, so_far):
                self._arrive(kind, arrival)
            if self._paused_s and kind.follows_workload:
                self._fill_up(kind, rate / change.share.of, change.share.rank)

    def _fill_up(self, kind: Any, rate: float, rank: int) -> None:
        """From now on `rate` conversations begin per second in this process."""
        before, self._rates[kind] = self._rates[kind], rate
        more = (rate - before) * self._paused_s
        for _ in range(int(more + self._random.random())):
            performer = self._performer(kind)
            performer.joins = True
            self._joined += 1
            self._start(kind, performer, None, f"joined/{rank}/{self._joined}")
        if rate < before:
            for performer in self._busy:
                if type(performer) is kind and self._random.random() < 1 - rate / before:
                    performer.replay.left = True

    def _run(self) -> None:
        loop = gevent.get_hub().loop
        while True:
            self._start_due(time.perf_counter())
            dues = [schedule.due() for schedule in self._schedules.values()]
            due = min([*dues, *(change.t for change in self._changes)], default=math.inf)
            self._changed.clear()
            loop.update_now()  # or the timer would count from the beginning of the loop's round
            wait_s = min(max(due - time.perf_counter(), 0.0), LONGEST_SLEEP_S)
            self._changed.wait(wait_s)

    def _start_due(self, now: float) -> None:
        while self._changes and self._changes[0].t <= now:
            self._follow(self._changes.popleft())
        for kind, schedule in list(self._schedules.items()):
            for arrival in schedule.take_until(now):
                self._arrive(kind, arrival)

    def _arrive(self, kind: type, arrival: IntendedArrival) -> None:
        self._intended += 1
        performer = self._performer(kind)
        if len(self._running) >= self._max_in_flight and self.in_flight >= self._max_in_flight:
            performer.drop_arrival(arrival.t)
            self._idle[kind].append(performer)
            return
        self._start(kind, performer, arrival.t, str(arrival.number))

    def _performer(self, kind: type) -> Any:
        idle = self._idle[kind]
        return idle.pop() if idle else self._new_performer(kind)

    def _start(self, kind: type, performer: Any, t_intended: float | None, which: str) -> None:
        self._busy.add(performer)
        performer._greenlet = self._running.spawn(self._perform, kind, performer, t_intended, which)

    def _new_performer(self, kind: type) -> Any:
        performer = kind(self._environment)
        performer._taskset_instance = DefaultTaskSet(performer)
        performer._state = None
        return performer

    def _perform(self, kind: type, performer: Any, t_intended: float | None, which: str) -> None:
        """One arrival: a task of the user, that was due at `t_intended`; None: it is under way already.

        What it chooses depends on `which` it is: with the same seed, two servers are asked the same.
        """
        late_s = 0.0 if t_intended is None else max(0.0, time.perf_counter() - t_intended)
        tasks = performer._taskset_instance
        own_random.acts_in(gevent.getcurrent(), performer.random)
        is_new, performer._state = performer._state is None, LOCUST_STATE_RUNNING
        ready = False
        try:
            if is_new:
                performer.greet()
            ready = True
            performer.t_intended, performer.late_s = t_intended, late_s
            # Not before: not everyone that arrives is new, and has an `on_start` that may choose something.
            performer.random.seed(f"{self._seed}/{kind.__name__}/{which}")
            tasks.execute_task(tasks.get_next_task())
        except _TASK_ENDS:
            pass  # the ways in which a task says that it is done
        except Exception as exc:  # noqa: BLE001 (a user's own code; Locust does the same)
            self._environment.events.user_error.fire(
                user_instance=performer, exception=exc, tb=exc.__traceback__
            )
            log.error("%s\n%s", exc, traceback.format_exc())  # noqa: TRY400
        finally:
            if not ready:  # its `on_start` failed or was killed
                performer._state = None
            if t_intended is not None and (not ready or performer.t_intended is not None):
                performer.drop_arrival(t_intended)  # nothing was asked, and that must count
            performer.t_intended = None
            if performer.replay is not None:
                performer.replay.left = False
            self._busy.discard(performer)
        # Not reached by one that was killed: its connection is in an unknown state.
        self._idle[kind].append(performer)
