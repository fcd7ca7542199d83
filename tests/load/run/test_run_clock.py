"""A wall clock that somebody sets while a run goes on: nothing but a label comes from it."""

import json

import pytest
from web_locust import FAST

from astrometer.load.run.run_clock import RunClock

BACK_BY_AN_HOUR = """
import time
import gevent
from locust import constant, events, task
from astrometer.load import ChatUser

true_time = time.time

def set_back():
    time.time = lambda: true_time() {step} 3600

@events.test_start.add_listener
def _soon(**_):
    gevent.spawn_later(2.5, set_back)

class Asker(ChatUser):
    scenario = "chat"
    wait_time = constant(0.1)
    @task
    def say(self): self.ask(self.prompt())
"""


def test_elapsed_time_and_windows_do_not_follow_the_wall_clock():
    now, wall = [100.0], [1_700_000_000.0]
    clock = RunClock(2.0, now=lambda: now[0], wall=lambda: wall[0])
    now[0], wall[0] = 105.0, 1_700_000_003.0 - 3600
    assert clock.elapsed_s == 7.0
    assert clock.since_start(101.0) == 3.0
    assert clock.started_at == 1_699_999_998.0
    clock.stop()
    now[0] = 200.0
    assert (clock.elapsed_s, clock.is_over) == (7.0, True)


@pytest.mark.process
@pytest.mark.parametrize("step", ["-", "+"])
@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["one process", "two workers"])
def test_a_clock_that_is_set_in_mid_run_changes_no_number(sim, tmp_path, processes, step):
    """And stops no shape: Locust 2.47 would sleep for an hour, or believe that its master is gone."""
    file = tmp_path / "stepped.py"
    file.write_text(BACK_BY_AN_HOUR.format(step=step))
    shape = ("--shape", "2:4s,4:3s", "--warmup", "1s", "--stop-timeout", "10")
    results, _ = sim.locust(str(file), *FAST, *shape, *processes, out=tmp_path)
    assert results["window"]["duration_s"] == pytest.approx(6, abs=0.7)
    turns = results["turns"]
    assert turns["outcomes"] == {"ok": turns["started"]}
    assert 0 < turns["excluded"] <= 2 * (1 / 0.2 + 2)  # two users, a turn takes 0.15 s and a pause 0.1 s
    measured = sum(stage["turns"]["started"] for stage in results["stages"])
    assert measured == turns["started"] - turns["excluded"]
    assert min(stage["turns"]["started"] for stage in results["stages"]) > 5
    times = [item["t_s"] for item in results["timeline"]["steps"]]
    assert times == [0, 5], json.dumps(times)
    assert results["throughput_per_s"] * results["window"]["duration_s"] == pytest.approx(measured, abs=0.01)
