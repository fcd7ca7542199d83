"""People of a messenger who note the stamps of each question: for bench/messenger.py.

ASTROMETER_BENCH_NOTES: the file for them, with the CPU time and the memory of this process at both ends.
"""

import json
import os
import time
from pathlib import Path

import gevent
from locust import constant_pacing, events, task

import psutil

from astrometer.load import MessengerUser

PACE_S = float(os.environ.get("ASTROMETER_BENCH_PACE", "2"))
NOTES = Path(os.environ["ASTROMETER_BENCH_NOTES"])
TURNS: list[tuple[int, float, float | None, str]] = []
POINTS: list[tuple[float, float, int, int]] = []  # when, CPU seconds, turns, RSS


class Writer(MessengerUser):
    """Everybody asks once in the pace, whenever the answer came."""

    scenario = "im_chat"
    wait_time = constant_pacing(PACE_S)

    def on_start(self) -> None:
        gevent.sleep(self.random.random() * PACE_S)  # people are not in step

    @task
    def ask(self) -> None:
        turn = self.write("how are you today?")
        TURNS.append((turn.message_id, turn.t_send, turn.t_first, turn.outcome.value))


@events.spawning_complete.add_listener
def _settled(**_: object) -> None:
    gevent.spawn(_watch)


def _watch() -> None:
    process = psutil.Process()
    while True:
        POINTS.append((time.perf_counter(), time.process_time(), len(TURNS), process.memory_info().rss))
        gevent.sleep(1)


@events.quitting.add_listener
def _write(**_: object) -> None:
    NOTES.write_text(json.dumps({"turns": TURNS, "points": POINTS}))
