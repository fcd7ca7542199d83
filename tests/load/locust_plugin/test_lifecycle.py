"""Work that is done once, whoever asks for it. In processes of their own: importing Locust patches them."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.process

ONE_END = """
import gevent
from astrometer.load.locust_plugin.lifecycle import Once

done = []

def work():
    gevent.sleep(0.05)
    done.append("work")

once = Once(work)
asking = [gevent.spawn(once) for _ in range(3)]
gevent.sleep(0.01)
asking[0].kill()  # as Locust does with whoever stopped the test first
gevent.joinall(asking, raise_error=True)
assert done == ["work"]
"""

FAILS = """
from astrometer.load.locust_plugin.lifecycle import Once

once = Once(lambda: int("no number"))
heard = []
for _ in range(2):
    try:
        once()
    except ValueError as exc:
        heard.append(str(exc))
assert len(heard) == 2 and "no number" in heard[0], heard
"""


def test_all_who_ask_wait_for_one_end():
    subprocess.run([sys.executable, "-W", "ignore", "-c", ONE_END], check=True, timeout=60)


def test_whoever_asks_learns_that_it_failed():
    subprocess.run([sys.executable, "-W", "ignore", "-c", FAILS], check=True, timeout=60)
