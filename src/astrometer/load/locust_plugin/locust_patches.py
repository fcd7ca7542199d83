"""All that reaches into Locust 2.47's inside, and why. Nothing else of ours does, but `schedule.open_model`.

What makes a whole process stand still measures nothing: every running stream gets a gap that was not the
server's, and every arrival that is due meanwhile starts late.
"""

import gc
import inspect
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import gevent
from gevent.event import Event
from locust import argument_parser, runners, stats
from locust.runners import WorkerRunner
from locust.user.task import LOCUST_STATE_STOPPING, TaskSet
from locust.user.users import User

from astrometer.load import own_random
from astrometer.load.locust_plugin.web_form import USER_FIELDS
from astrometer.load.options import OF_ONE_PROCESS

LONGEST_INIT_S = 60.0
KEPT_S = 60
EVERY_S = 30.0

_EPOCH_S = time.time() - time.perf_counter()


def steady_time() -> float:
    """Epoch seconds that nobody can set: they were read from the wall clock once."""
    return _EPOCH_S + time.perf_counter()


def use_steady_time() -> None:
    """Locust waits and gives up by the wall clock.

    Set back by an hour it lets a shape sleep for an hour and discards every later change of the users; set
    forward, workers believe that their master is gone.
    """
    steady = SimpleNamespace(**{**vars(time), "time": steady_time})
    for module in (runners, stats):
        module.time = steady  # type: ignore[attr-defined]


def know_own_options() -> None:
    """For workers: Locust builds its parser anew for every option of every message "spawn".

    4 ms, 130 times: half a second at each step of a ramp or of a profile. The answer never changes.
    """
    known: dict[str, Any] = argument_parser.default_args_dict()
    argument_parser.default_args_dict = lambda: known


def know_own_sources() -> None:
    """Locust asks for the whole stack when it stops, for a line of its debug log.

    The first time that takes 60 ms and more, since `inspect` looks up the file of every module there is;
    later ones take half a millisecond.
    """
    inspect.stack()


def collect_rarely() -> None:
    """For a process that is about to load: what the imports left is never looked through again.

    That would be a pause of 30 ms at each full collection. What a load makes is freed without the collector
    but for rare cycles, so the young are looked at after 50,000 of them, not 700: a tenth of the CPU time of
    1,000 streams.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


class WorkerMessages:
    """What a worker's master sends, on its way to Locust. `ready` is set once Locust has fired `init` here.

    Who joins a running test is told to begin before that: nobody would hear it.
    """

    def __init__(self) -> None:
        self.ready = Event()
        self.before_stop: Callable[[], None] | None = None  # has the users finish, within the stop timeout

    def install(self) -> None:
        """On every worker that this process makes from now on."""
        handle = WorkerRunner.handle_message

        def in_time(runner: Any, msg: Any) -> None:
            msg.t_heard = time.perf_counter()
            if msg.type != "ack" and not self.ready.wait(LONGEST_INIT_S):  # the runner waits for that one
                self.ready.set()  # a program of somebody's own that never fires it
            msg = without_what_is_ours(msg)
            if msg.type == "stop" and self.before_stop is not None:
                self._stop_at_once(handle, runner, msg)
            else:
                handle(runner, msg)

        WorkerRunner.handle_message = in_time  # type: ignore[method-assign, assignment]

    def _stop_at_once(self, handle: Callable[[Any, Any], None], runner: Any, msg: Any) -> None:
        """Locust sleeps out the whole stop timeout before it says that this worker is ready again."""
        if self.before_stop is not None:
            self.before_stop()
        environment = runner.environment
        stop_timeout, environment.stop_timeout = environment.stop_timeout, 0.0
        try:
            handle(runner, msg)
        finally:
            environment.stop_timeout = stop_timeout


def without_what_is_ours(msg: Any) -> Any:
    """A master steers the load; it does not choose this machine's files, keys and ports."""
    if msg.type == "spawn":
        given = msg.data["parsed_options"]
        kept = {name: value for name, value in given.items() if name not in OF_ONE_PROCESS}
        msg.data = {**msg.data, "parsed_options": kept}
    elif msg.type == "update_user_class":
        msg.data = {name: value for name, value in msg.data.items() if name in USER_FIELDS}
    return msg


worker_messages = WorkerMessages()


def time_pauses() -> None:
    """Between their tasks users sleep, and a busy process wakes them late: they ask less than they should."""
    sleep: Callable[[Any, float], None] = TaskSet._sleep  # noqa: SLF001

    def timed(tasks: Any, seconds: float) -> None:
        run = getattr(tasks.user, "run_info", None)
        if run is None:  # none of our users
            sleep(tasks, seconds)
            return
        left_s, tasks.user.paused_s = max(0.0, seconds - tasks.user.paused_s), 0.0
        due = time.perf_counter() + left_s
        # `constant_pacing` makes the next pause shorter by as much: what it loses is not what it slept.
        is_paced = seconds in (tasks._cp_last_wait_time, tasks.user._cp_last_wait_time)  # noqa: SLF001
        sleep(tasks, left_s)
        if seconds > 0 and not is_paced:
            run.paused(seconds, time.perf_counter() - due)

    TaskSet._sleep = timed  # type: ignore[method-assign]  # noqa: SLF001


def let_users_choose() -> None:
    """Their next task, transition and pause, by their own generator, which `--arrival-seed` seeds.

    What somebody has written for a class of their own stays.
    """
    own_random.install("locust.user.task", "locust.user.markov_taskset", "locust.user.wait_time")


def stop_users_once() -> None:
    """Ctrl-C may come while a search takes users away. Locust prints a traceback for each it asks twice."""
    stop = User.stop

    def once(user: Any, force: bool = False) -> Any:
        is_stopping = user._state == LOCUST_STATE_STOPPING  # noqa: SLF001
        return False if is_stopping and not force else stop(user, force)

    User.stop = once  # type: ignore[method-assign, assignment]


def hear_last(hook: Any, listener: Callable[..., None]) -> None:
    """After all that listen to `hook` by now."""
    if listener in hook._handlers:  # noqa: SLF001
        hook.remove_listener(listener)
    hook.add_listener(listener)


def send_report(runner: Any) -> None:
    """A worker's, now: Locust has no public way."""
    runner._send_stats()  # noqa: SLF001


def hear_no_spawns(runner: Any) -> None:
    """A worker whose test has ended. The master may still be ramping up: what it asks for comes too late."""
    runner.last_received_spawn_timestamp = float("inf")


def hear_spawns_after(runner: Any, t: float) -> None:
    """Those of the next test. `t`: the master's `steady_time` when this one was over."""
    runner.last_received_spawn_timestamp = t


def filter_tasks_by_tags(environment: Any) -> None:
    """What Locust does when a test starts; it does it once."""
    environment._filter_tasks_by_tags()  # noqa: SLF001


def hear_first(hook: Any, listener: Callable[..., None], *, in_reverse: bool = False) -> None:
    """Before all that listen to `hook` already. `in_reverse`: Locust calls the last one first."""
    handlers = hook._handlers  # noqa: SLF001
    handlers.insert(len(handlers) if in_reverse else 0, listener)


def set_users_now(runner: Any, wanted: tuple[int, float]) -> None:
    """What Locust does with what a shape's tick returns."""
    runner.start(*wanted)
    runner.shape_last_tick = wanted


def forget_old_seconds(kept_stats: Any) -> None:
    """Each row of Locust's statistics counts by the second, for ever, and reads the last 12.

    Forget those that no rate is computed from any more. Totals and percentiles do not need them.
    """
    if kept_stats.last_request_timestamp is None:
        return
    oldest = int(kept_stats.last_request_timestamp) - KEPT_S
    for row in (kept_stats.total, *kept_stats.entries.values()):
        for by_second in (row.num_reqs_per_sec, row.num_fail_per_sec):
            for second in [second for second in by_second if second < oldest]:
                del by_second[second]


def keep_statistics_small(environment: Any) -> None:
    """From now on. `--json` and `--json-file` print every second, and so need them all."""
    parsed = environment.parsed_options
    if not parsed.json and not parsed.json_file:
        gevent.spawn(_forget_for_ever, environment)


def _forget_for_ever(environment: Any) -> None:
    while True:
        gevent.sleep(EVERY_S)
        forget_old_seconds(environment.stats)
