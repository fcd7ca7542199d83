"""A watched process: a sample a second on the run's clock, and its end with a time."""

import os
import signal

import pytest
from astrbot_lookalike import looks_like_astrbot

from astrometer.load.run.run_clock import RunClock
from astrometer.load.server.server_watch import ServerWatch
from astrometer.measure.server_usage import ServerEnd, ServerEndKind

pytestmark = pytest.mark.process


class Time:
    now = 100.0


@pytest.fixture
def astrbot():
    with looks_like_astrbot() as process:
        yield process


@pytest.fixture
def time():
    return Time()


def watch(pid, time, turns=lambda: 0, **more):
    clock = RunClock(now=lambda: time.now, wall=lambda: 0.0)
    watch = ServerWatch(pid, "http://127.0.0.1:6185", clock, turns, **more)
    watch.start()
    return watch, clock


def test_samples_are_timed_by_the_run_and_hold_its_turns(astrbot, time):
    turns = iter(range(0, 1000, 25))
    watched, clock = watch(astrbot.pid, time, lambda: next(turns), excluded_s=5.0)
    for _ in range(20):
        watched.sample()
        time.now += 1
    clock.stop()
    for _ in range(3):  # drained
        watched.sample()
        time.now += 1
    usage = watched.usage()
    assert [item.t_s for item in usage.samples] == list(range(23))
    assert (usage.window[0].t_s, usage.window[-1].t_s, usage.turns) == (5, 20, 15 * 25)
    assert usage.cpu_per_turn_s == pytest.approx(0, abs=1e-3)
    assert usage.rss_growth_bytes == pytest.approx(0, abs=1e5)
    assert usage.ended is None
    assert 0 < usage.sampling_s < 0.1


def test_a_server_that_dies_is_told_with_the_time_and_says_nothing_more(astrbot, time):
    watched, _ = watch(astrbot.pid, time)
    for _ in range(12):
        watched.sample()
        time.now += 1
    os.kill(astrbot.pid, signal.SIGKILL)
    astrbot.wait()
    for _ in range(12):
        watched.sample()
        time.now += 1
    usage = watched.usage()
    assert usage.ended == ServerEnd(t_s=12.0, how=ServerEndKind.GONE)
    assert len(usage.samples) == 12
    assert usage.cpu_share is None


def test_a_test_that_begins_after_the_server_ended_is_not_stopped_by_it(astrbot, time):
    astrbot.kill()
    astrbot.wait()
    watched, _ = watch(astrbot.pid, time)
    watched.stop()
    assert watched.usage().ended == ServerEnd(t_s=0.0, how=ServerEndKind.GONE)
    assert watched.usage().samples == []
