"""Users as Locust dispatches them -> the rate of all load processes together, told to each with its share.

Locust starts its workers one after the other and gives one more users than the next: schedules of their own
would neither begin together nor be even. So all workers lay out one schedule, by the times at which the
master changed the rate, and each makes every k-th arrival of it.

The master's clock is known to a worker from the first message: the times in it are as long ago as it took to
come, and for later ones that is taken to be the same. Clocks of hosts need not agree.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from locust.runners import MasterRunner, WorkerRunner

from astrometer.load.arrivals import Share
from astrometer.load.open_model import LEAD_S, Change
from astrometer.load.run import Run

RATES = "astrometer_rates"
Dispatched = Mapping[str, Mapping[str, int]]  # users of each class, by worker


class Dispatching:
    """For the process that gives out the users: the only one, or the master."""

    def __init__(self, environment: Any, current: Callable[[], Run | None]) -> None:
        self._current = current
        self._changes: list[list[Any]] = []
        self._told: set[str] = set()  # workers that know of all changes so far
        self._runner = environment.runner
        dispatched = self._dispatched

        class Telling(environment.dispatcher_class):  # type: ignore[misc]  # whatever class that is
            def __next__(self) -> Dispatched:
                users: Dispatched = super().__next__()
                dispatched(users)
                return users

        environment.dispatcher_class = Telling

    def begin(self) -> None:
        """A test begins."""
        self._changes, self._told = [], set()

    def _dispatched(self, users: Dispatched) -> None:
        run = self._current()
        if run is None or run.is_over:
            return
        total: Counter[str] = Counter()
        for own in users.values():
            total.update(own)
        run.demand.dispatched(total.total())
        if run.open_model is None:
            return
        if not isinstance(self._runner, MasterRunner):
            run.open_model.change(Change(t=time.perf_counter(), users=total))
            return
        self._changes.append([run.elapsed_s + LEAD_S, dict(total), sorted(users)])
        for worker in users:
            # One that has joined lays out all that has been, to be at the same arrival as the others.
            news = self._changes[-1:] if worker in self._told else self._changes
            wire = {"run": run.id, "elapsed_s": self._changes[-1][0] - LEAD_S, "changes": news}
            self._runner.send_message(RATES, wire, client_id=worker)
        self._told = set(users)


class Listening:
    """For a worker."""

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
        if msg.data["run"] != self._run_id:
            self._run_id, self._waiting = msg.data["run"], []
            self._t_start = time.perf_counter() - msg.data["elapsed_s"]
        for t_s, users, workers in msg.data["changes"]:
            own = self._runner.client_id
            share = Share(workers.index(own) if own in workers else None, len(workers))
            self._waiting.append(Change(t=self._t_start + t_s, users=users, share=share))
        self.begin()


def of(environment: Any, runner: Any, current: Callable[[], Run | None]) -> Dispatching | Listening:
    """What this process has to do with it."""
    return (
        Listening(runner, current) if isinstance(runner, WorkerRunner) else Dispatching(environment, current)
    )
