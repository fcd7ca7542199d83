"""Locust's own statistics in a run of days. In processes of their own: Locust patches the one it is in."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.process

THREE_HOURS = """
import json, sys, time
from types import SimpleNamespace
import gevent
import locust.stats
from astrometer.load.locust_plugin import locust_patches

clock, began = SimpleNamespace(now=0.0), int(time.time()) - 3 * 3600
locust.stats.time = SimpleNamespace(time=lambda: clock.now or began)
stats = locust.stats.RequestStats()
for number in range(3 * 3600 * 2):  # two requests a second, every tenth of which fails
    clock.now = began + number / 2
    stats.log_request("SSE", "chat", 100, 10)
    if number % 10 == 0:
        stats.log_error("SSE", "chat", "truncated")

def seen():
    rates = ("current_rps", "current_fail_per_sec", "total_rps", "total_fail_per_sec", "num_requests")
    return [
        {**{name: getattr(row, name) for name in rates}, "p95": row.get_response_time_percentile(0.95)}
        for row in (stats.get("chat", "SSE"), stats.total)
    ]

def seconds():
    rows = (stats.get("chat", "SSE"), stats.total)
    return max(len(kept) for row in rows for kept in (row.num_reqs_per_sec, row.num_fail_per_sec))

before, kept_before = seen(), seconds()
locust_patches.EVERY_S = 0.01
options = SimpleNamespace(json="--json" in sys.argv, json_file=None)
locust_patches.keep_statistics_small(SimpleNamespace(parsed_options=options, stats=stats))
gevent.sleep(0.05)
print(json.dumps({"before": before, "after": seen(), "kept": [kept_before, seconds()]}))
"""


def three_hours(*options):
    done = subprocess.run(
        [sys.executable, "-c", THREE_HOURS, *options], capture_output=True, text=True, timeout=60, check=True
    )
    return json.loads(done.stdout)


def test_the_seconds_of_three_hours_go_and_every_rate_and_total_stays():
    told = three_hours()
    assert told["kept"][0] == 3 * 3600
    assert told["kept"][1] <= 61
    assert told["after"] == told["before"]
    chat = told["after"][0]
    assert chat["current_rps"] == 2
    assert chat["current_fail_per_sec"] == pytest.approx(0.2)
    assert chat["num_requests"] == 3 * 3600 * 2


def test_whoever_has_locust_print_every_second_keeps_them():
    assert three_hours("--json")["kept"] == [3 * 3600, 3 * 3600]


PAUSES = """
import json, time
from types import SimpleNamespace
import gevent
from locust import TaskSet, User, constant, constant_pacing
from astrometer.load.locust_plugin import locust_patches

def busy(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass

locust_patches.time_pauses()
found = {}
kinds = {"constant": constant(0.02), "nothing": constant(0)}
kinds |= {"paced": constant_pacing(0.02), "slow": constant_pacing(0.001)}
for name, wait in kinds.items():
    heard = found[name] = []
    class Asker(User):
        wait_time = wait
        run_info = SimpleNamespace(paused=lambda meant_s, late_s: heard.append([meant_s, late_s]))
        paused_s = 0.0
    asker = Asker(SimpleNamespace(host=None, events=None))
    asker._state = "running"
    tasks = TaskSet(asker)
    for _ in range(3):
        busy(0.005)
        gevent.spawn_later(0.001, busy, 0.03)
        tasks.wait()
print(json.dumps(found))
"""


def test_only_pauses_that_nothing_makes_good_can_be_too_long():
    done = subprocess.run(
        [sys.executable, "-c", PAUSES], capture_output=True, text=True, timeout=60, check=True
    )
    heard = json.loads(done.stdout)
    assert [meant_s for meant_s, _ in heard["constant"]] == [0.02] * 3
    assert all(late_s > 0.005 for _, late_s in heard["constant"])
    # Nobody who does not pause can pause too long; and a pace is kept by a next pause that is shorter.
    assert heard["nothing"] == heard["paced"] == heard["slow"] == []


QUICK = """
from locust import argument_parser
from astrometer.load.locust_plugin import locust_patches
before = argument_parser.default_args_dict()
locust_patches.know_own_options()
assert argument_parser.default_args_dict() == before
assert argument_parser.default_args_dict() is argument_parser.default_args_dict()
"""


def test_a_worker_does_not_build_locusts_parser_anew_for_every_option():
    """Half a second of standing still at each step of a ramp, on Locust 2.47."""
    subprocess.run([sys.executable, "-c", QUICK], check=True, timeout=60)


TWICE = """
from types import SimpleNamespace
from locust import User
from astrometer.load.locust_plugin import locust_patches
locust_patches.stop_users_once()
user = User(SimpleNamespace(host=None, events=None))
user._state = "running"
assert [user.stop(), user.stop(), user._state] == [False, False, "stopping"]
"""


def test_a_user_who_is_asked_to_stop_twice_stops_once():
    """By a search that takes the load away, and by Ctrl-C: on Locust 2.47 a traceback for each user."""
    subprocess.run([sys.executable, "-c", TWICE], check=True, timeout=60)
