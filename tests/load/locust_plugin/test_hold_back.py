"""A worker that is told to begin before it is ready. In a process of its own: Locust patches it."""

import subprocess
import sys

TOO_EARLY = """
import time
from types import SimpleNamespace
import gevent
from gevent.event import Event
from locust.runners import WorkerRunner
from astrometer.load.locust_plugin import distributed

handled = []
WorkerRunner.handle_message = lambda self, msg: handled.append(msg.type)
ready = Event()
distributed.hold_back_until(ready)
ack, spawn = SimpleNamespace(type="ack"), SimpleNamespace(type="spawn")
WorkerRunner.handle_message(None, ack)
spawning = gevent.spawn(WorkerRunner.handle_message, None, spawn)
gevent.sleep(0.1)
assert handled == ["ack"]
ready.set()
spawning.get()
assert handled == ["ack", "spawn"]
assert time.perf_counter() - spawn.t_heard >= 0.09  # not when it was handled
"""


def test_what_the_master_says_too_early_is_heard_when_the_worker_is_ready_and_keeps_its_time():
    subprocess.run([sys.executable, "-c", TOO_EARLY], check=True, timeout=60)
