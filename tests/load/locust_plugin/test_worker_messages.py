"""A worker that is told to begin before it is ready. In a process of its own: Locust patches it."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.process

TOO_EARLY = """
import time
from types import SimpleNamespace
import gevent
from locust.runners import WorkerRunner
from astrometer.load.locust_plugin import locust_patches

handled = []
WorkerRunner.handle_message = lambda self, msg: handled.append(msg.type)
messages = locust_patches.WorkerMessages()
messages.install()
ack, spawn = SimpleNamespace(type="ack"), SimpleNamespace(type="spawn", data={"parsed_options": {}})
WorkerRunner.handle_message(None, ack)
spawning = gevent.spawn(WorkerRunner.handle_message, None, spawn)
gevent.sleep(0.1)
assert handled == ["ack"]
messages.ready.set()
spawning.get()
assert handled == ["ack", "spawn"]
assert time.perf_counter() - spawn.t_heard >= 0.09  # not when it was handled
"""

THEIRS_AND_OURS = """
from types import SimpleNamespace
from locust.runners import WorkerRunner
from astrometer.load.locust_plugin import locust_patches

heard = []
WorkerRunner.handle_message = lambda self, msg: heard.append(msg.data)
messages = locust_patches.WorkerMessages()
messages.ready.set()
messages.install()
options = {"astrometer_out": "/x", "astrbot_key_file": "/x", "astrometer_journal": "/x", "warmup": 1.0}
job = {"parsed_options": options, "host": "h"}
WorkerRunner.handle_message(None, SimpleNamespace(type="spawn", data=job))
user = {"user_class_name": "A", "weight": 2, "run": "x"}
WorkerRunner.handle_message(None, SimpleNamespace(type="update_user_class", data=user))
assert heard == [
    {"parsed_options": {"warmup": 1.0}, "host": "h"}, {"user_class_name": "A", "weight": 2}
], heard
"""


def test_a_worker_keeps_its_own_files_and_keys_whatever_its_master_says():
    subprocess.run([sys.executable, "-c", THEIRS_AND_OURS], check=True, timeout=60)


@pytest.mark.process
def test_what_the_master_says_too_early_is_heard_when_the_worker_is_ready_and_keeps_its_time():
    subprocess.run([sys.executable, "-c", TOO_EARLY], check=True, timeout=60)
