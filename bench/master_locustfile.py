"""A locustfile for the master of `master.py`: the users of `mixed`, and notes of how reports are handled.

Nothing is changed: a listener that hears last says when a report has been merged. Written to the file that
`BENCH_MASTER_NOTES` names, as JSON.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from locust import events

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "locustfiles"))

from mixed import Chatter, Notifier, Onlooker, Sender  # noqa: F401 (Locust runs the classes that it finds here)

from astrometer.load.locust_plugin import locust_patches


class Notes:
    """Of one test. Times are those of the machine's one monotonic clock; `cpu_s` is this process's."""

    def __init__(self) -> None:
        self.reports: list[
            tuple[float, float, float, bool]
        ] = []  # sent, merged, CPU time by then, the last one
        self.points: dict[str, tuple[float, float]] = {}

    def merged(self, data: dict[str, Any], **_: Any) -> None:
        if "bench" in data:
            sent = data["bench"]
            now = time.perf_counter()
            self.reports.append((sent["t_sent"], now, time.process_time(), sent["final"]))

    def point(self, name: str) -> None:
        self.points[name] = (time.perf_counter(), time.process_time())


@events.init.add_listener
def _listen(environment: Any, **_: Any) -> None:
    notes, hooks = Notes(), environment.events
    locust_patches.hear_last(hooks.worker_report, notes.merged)
    hooks.test_start.add_listener(lambda **_: notes.point("began"))
    hooks.spawning_complete.add_listener(lambda **_: notes.point("spawned"))
    locust_patches.hear_first(hooks.test_stopping, lambda **_: notes.point("stopping"))
    hooks.test_stopping.add_listener(lambda **_: notes.point("drained"))
    hooks.test_stop.add_listener(lambda **_: notes.point("concluded"))
    hooks.quit.add_listener(lambda **_: _write(notes))


def _write(notes: Notes) -> None:
    file = Path(os.environ["BENCH_MASTER_NOTES"])
    file.write_text(json.dumps({"reports": notes.reports, "points": notes.points}))
