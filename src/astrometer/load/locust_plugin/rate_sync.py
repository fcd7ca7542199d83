"""Users as Locust dispatches them -> the rate of all load processes together, told to each with its share.

Locust starts its workers one after the other and gives one more users than the next: schedules of their own
would neither begin together nor be even. So all workers lay out one schedule, by the times at which the
master changed the rate, and each makes every k-th arrival of it.

On one machine all processes have one monotonic clock, and the master's times are taken as they are. From
another machine its clock is known by the first message: the times in it are as long ago as it took to come,
and for later ones that is taken to be the same. Clocks of hosts need not agree.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from astrometer import clock
from astrometer.load.run.role import ProcessRole
from astrometer.load.run.run import Run
from astrometer.load.schedule.arrivals import Share
from astrometer.load.schedule.open_model import LEAD_S, Change

RATES = "astrometer_rates"
Dispatched = Mapping[str, Mapping[str, int]]  # users of each class, by worker


class RateSender:
    """For the process that gives out the users: the only one, or the master."""

    def __init__(self, environment: Any, role: ProcessRole, current: Callable[[], Run | None]) -> None:
        self._runner = environment.runner
        self._role = role
        self._current = current
        self._users: Counter[str] = Counter()
        self._user_seconds: dict[str, float] = defaultdict(float)
        self._t_s = 0.0  # since the run's start: of the last change
        dispatched = self._dispatched

        class TellingDispatcher(environment.dispatcher_class):  # type: ignore[misc]  # whatever class that is
            def __next__(self) -> Dispatched:
                users: Dispatched = super().__next__()
                dispatched(users)
                return users

        environment.dispatcher_class = TellingDispatcher

    def begin(self) -> None:
        self._users, self._user_seconds, self._t_s = Counter(), defaultdict(float), 0.0

    def _dispatched(self, by_worker: Dispatched) -> None:
        run = self._current()
        if run is None or run.is_over:
            return
        users: Counter[str] = Counter()
        for own in by_worker.values():
            users.update(own)
        run.requested.dispatched(users.total())
        if run.open_model is None:
            return
        if self._role is ProcessRole.LOCAL:
            run.open_model.change(Change(t=time.perf_counter(), users=users))
            return
        sent = run.clock.now()
        elapsed_s = run.clock.since_start(sent)
        t_s = elapsed_s + LEAD_S
        for name in users:
            self._user_seconds[name] += self._users[name] * (t_s - self._t_s)
        self._users, self._t_s = users, t_s
        wire = {
            "run": run.id,
            "sent": clock.shared_reading(sent),
            "elapsed_s": elapsed_s,
            "t_s": t_s,
            "users": dict(users),
            "user_seconds": dict(self._user_seconds),
            "workers": sorted(by_worker),
        }
        for worker in by_worker:
            self._runner.send_message(RATES, wire, client_id=worker)


class RateReceiver:
    """For a worker. It may join late, and miss what was told before."""

    def __init__(self, runner: Any, current: Callable[[], Run | None]) -> None:
        self._runner = runner
        self._current = current
        self._run_id = ""
        self._t_start = 0.0
        self._waiting: list[Change] = []
        runner.register_message(RATES, self._heard)

    def begin(self) -> None:
        """A test begins, or goes on: what was heard is for its engine, or waits until it is there."""
        run = self._current()
        if run is not None and run.open_model is not None and run.id == self._run_id:
            for change in self._waiting:
                run.open_model.change(change)
            self._waiting = []

    def _heard(self, msg: Any, **_: Any) -> None:
        told = msg.data
        if told["run"] != self._run_id:
            self._run_id, self._waiting = told["run"], []
            sent = clock.reading_of(told["sent"])
            self._t_start = (msg.t_heard if sent is None else sent) - told["elapsed_s"]
        own, workers = self._runner.client_id, told["workers"]
        change = Change(
            t=self._t_start + told["t_s"],
            users=told["users"],
            share=Share(workers.index(own), len(workers)),
            user_seconds=told["user_seconds"],
        )
        self._waiting.append(change)
        self.begin()


def of(environment: Any, role: ProcessRole, current: Callable[[], Run | None]) -> RateSender | RateReceiver:
    """What this process has to do with it."""
    if role.leads:
        return RateSender(environment, role, current)
    return RateReceiver(environment.runner, current)
