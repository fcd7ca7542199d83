"""A locustfile: streams of a golden server -> `calibration-<pid>.json`. Run by `astrometer calibrate`.

Users, client, exchange and recorder are those of every run. Nothing is hooked in: the truth is in the text of
the answers (`measure.accuracy`), and the bounds are those of every turn, so what is compared is what a run
would report. Comparing is done when the load is over.
"""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gevent
from locust import constant, events, task

from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.clock import wall_minus_perf_s
from astrometer.load.calibrate.calibration_run import server_account
from astrometer.load.run.health import HealthMonitor
from astrometer.load.users import ChatUser
from astrometer.measure.accuracy import Samples, Truth


class Listener(ChatUser):
    """Asks on as soon as an answer is complete."""

    scenario = "calibration"
    wait_time = constant(0)

    @task
    def listen(self) -> None:
        turn = self.chat("calibrate")
        if isinstance(turn, ChatTurn):  # as it is in each way but a messenger
            _window.turns.append(turn)


class MeasuringWindow:
    """The time in which all streams run, and what this process spent in it."""

    def __init__(self) -> None:
        self.turns: list[ChatTurn] = []
        self.health = HealthMonitor()
        self._start: tuple[float, float] | None = None
        self._end: tuple[float, float] | None = None

    def open(self, length_s: float) -> None:
        if self._start is None:
            gevent.spawn(self._watch, length_s)

    def _watch(self, length_s: float) -> None:
        gevent.sleep(1.0)  # the last users have just been started
        self.health.start()
        self._start = (time.perf_counter(), time.process_time())
        gevent.sleep(length_s)
        self._end = (time.perf_counter(), time.process_time())
        self.health.stop()

    def write(self, folder: Path, url: str) -> None:
        """Without a whole window there is nothing to say, and the missing file says that.

        The golden server at `url` is asked which of its times are no truth.
        """
        if self._start is None or self._end is None:
            return
        window = self._start[0], self._end[0]
        samples = Samples(window, _truth(url, window))
        whole = [turn for turn in self.turns if turn.outcome.is_ok]
        for turn in whole:
            samples.add(turn.timings, turn.text)
        found: Mapping[str, Any] = {
            "start_s": self._start[0],
            "end_s": self._end[0],
            "cpu_s": self._end[1] - self._start[1],
            "health": self.health.take(),
            **samples.to_wire(),
            "failed_streams": len(self.turns) - len(whole),
            "clock_s": wall_minus_perf_s(),
        }
        (folder / f"calibration-{os.getpid()}.json").write_text(json.dumps(found))


def _truth(url: str, window: tuple[float, float]) -> Truth:
    account = server_account(url, *window)
    return Truth(within_s=account["send_s"], held_up=frozenset(account["held_up_ns"]))


_window = MeasuringWindow()


def _add_arguments(parser: Any, **_: Any) -> None:
    parser.add_argument("--calibration-out", metavar="DIR", default="", include_in_web_ui=False)
    parser.add_argument("--calibration-window", metavar="SECONDS", type=float, default=10.0)


def _init(environment: Any, **_: Any) -> None:
    length_s = environment.parsed_options.calibration_window
    environment.events.spawning_complete.add_listener(lambda **_: _window.open(length_s))
    environment.events.quit.add_listener(lambda **_: _finish(environment))


def _finish(environment: Any) -> None:
    if environment.parsed_options.calibration_out:
        _window.write(Path(environment.parsed_options.calibration_out), environment.host)


_events: Any = events  # Locust's hooks are not typed
_events.init_command_line_parser.add_listener(_add_arguments)
_events.init.add_listener(_init)
