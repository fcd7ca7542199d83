"""People who chat without a pause, with and without records in turns: for bench/records.py.

ASTROMETER_BENCH_NOTES: the file for the CPU time and the exchanges of each period. The run ends after
ASTROMETER_BENCH_EXCHANGES of them.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import gevent
from locust import constant, events, task

from astrometer.load import ChatUser

PERIOD_S = float(os.environ["ASTROMETER_BENCH_PERIOD"])
NOTES = Path(os.environ["ASTROMETER_BENCH_NOTES"])
EXCHANGES = int(os.environ["ASTROMETER_BENCH_EXCHANGES"])


class Asker(ChatUser):
    scenario = "chat"
    wait_time = constant(0)
    environment_of_all: ClassVar[Any]

    @task
    def ask_how_they_are(self) -> None:
        self.ask("how are you today?")


@events.spawning_complete.add_listener
def _settled(**_: object) -> None:
    gevent.spawn(_alternate)


def _alternate() -> None:
    """Each period has all that belongs to it: what was noted in it is on the disk when it ends."""
    environment = Asker.environment_of_all
    run = environment.astrometer.run
    log, file, periods = run.records, run.record_file, []
    spent_s = [0.0]
    # Not `flush`: others run between its parts.
    for name in ("note", "_make_lines", "_hand_over"):
        setattr(log, name, timed(getattr(log, name), spent_s))
    gevent.sleep(2)
    done = 0
    while done < EXCHANGES:
        # on off off on: what drifts slowly is the same for both
        for with_records in (True, False, False, True):
            run.recorder.records = log if with_records else None
            cpu_s, count = time.process_time(), run.tally.succeeded()
            gevent.sleep(PERIOD_S)
            log.flush()
            file.sync()
            counted = run.tally.succeeded() - count
            periods.append([with_records, time.process_time() - cpu_s, counted])
            done += counted
    NOTES.write_text(json.dumps({"periods": periods, "spent_s": spent_s[0]}))
    environment.runner.quit()


def timed(work: Callable[..., object], spent_s: list[float]) -> Callable[..., None]:
    """Its own CPU time, without that of asking for it. It gives the processor to nobody."""

    def run(*given: object, **more: object) -> None:
        began_s = time.thread_time()
        work(*given, **more)
        ended_s = time.thread_time()
        spent_s[0] += 2 * ended_s - began_s - time.thread_time()

    return run


@events.test_start.add_listener
def _know(environment: object, **_: object) -> None:
    Asker.environment_of_all = environment
