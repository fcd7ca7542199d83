"""Is the load process itself the bottleneck? A freeze, a busy end and a busy warm-up, in real time."""

import json
import time

import gevent

import pytest

from astrometer.load.run.health import (
    SAMPLE_S,
    HealthMonitor,
    ProcessHealth,
    expected_lags,
    worst,
    worst_stage_lag,
)
from astrometer.measure.tally.histogram import Histogram
from astrometer.measure.tally.tally import Tally


@pytest.fixture
def keep_busy(monkeypatch):
    """`keep_busy(seconds)`: block the loop. All CPU time of the process is what was spent there."""
    spent = [0.0]

    def block(seconds):
        time.sleep(seconds)
        spent[0] += seconds

    monkeypatch.setattr("astrometer.load.run.health.time.process_time", lambda: spent[0])
    return block


def test_a_late_wake_up_stands_for_all_that_were_due_meanwhile():
    assert list(expected_lags(-0.001)) == [0.0]
    assert list(expected_lags(0.004)) == [0.004]
    lags = list(expected_lags(2.5 * SAMPLE_S))
    assert lags == pytest.approx([2.5 * SAMPLE_S, 1.5 * SAMPLE_S, 0.5 * SAMPLE_S])


def test_a_loop_that_is_blocked_a_fifth_of_the_time_is_not_called_good(keep_busy):
    monitor, heard = HealthMonitor(), []
    monitor.watcher = heard.append
    monitor.start()
    gevent.sleep(0.8)
    keep_busy(0.2)
    gevent.sleep(0.05)
    monitor.stop()
    assert monitor.lag.percentile(90) > 0.05
    assert len(heard) == monitor.lag.n >= 20  # a search for the capacity is told the same


def test_a_process_that_is_busy_at_the_very_end_is_found_out(keep_busy, monkeypatch):
    monkeypatch.setattr("astrometer.load.run.health.CPU_WINDOW_S", 0.1)
    monitor = HealthMonitor()
    monitor.start()
    gevent.sleep(0.3)
    assert monitor.cpu_max == 0
    keep_busy(1.1)
    monitor.stop()
    assert monitor.cpu_max > 0.8


def test_the_warm_up_is_no_part_of_the_cpu_share(keep_busy):
    monitor = HealthMonitor()
    monitor.start(after_s=2.0)  # long after the blocking, however slow the machine
    gevent.sleep(0.05)
    keep_busy(0.3)
    gevent.sleep(2.4)
    monitor.stop()
    assert monitor.cpu_max == 0


def test_a_peak_of_a_second_in_a_quiet_end_is_no_saturation(keep_busy, monkeypatch):
    monkeypatch.setattr("astrometer.load.run.health.CPU_WINDOW_S", 1.5)
    monitor = HealthMonitor()
    monitor.start()
    gevent.sleep(1.6)
    keep_busy(0.3)
    monitor.stop()
    assert 0 < monitor.cpu_max < 0.5


def test_a_blocked_loop_shows_as_lag_and_an_idle_one_does_not():
    monitor = HealthMonitor()
    monitor.start()
    gevent.sleep(0.5)
    idle = monitor.take()
    gevent.sleep(0.02)
    time.sleep(0.15)  # nothing of the loop runs
    gevent.sleep(0.02)
    blocked = monitor.take()
    monitor.stop()
    assert Histogram.from_wire(idle["lag"]).percentile(50) < 0.02
    assert Histogram.from_wire(blocked["lag"]).max > 0.1


def test_the_lag_is_noted_by_stage_and_the_worst_process_speaks_for_each():
    monitor, stage = HealthMonitor(), 0
    monitor.stage = lambda: stage
    for number in range(10):
        monitor._note_lag(number + 0.001, number)
    stage = 1
    monitor._note_lag(10.15, 10.0)
    wire = json.loads(json.dumps(monitor.take()))
    process, idle = ProcessHealth(Histogram()), ProcessHealth(Histogram())
    process.add(wire)
    assert worst_stage_lag([process, idle], 1) > 0.1
    assert process.stage_lag[0].percentile(50) < 0.02
    assert worst_stage_lag([idle], 1) is None


def test_the_worst_process_speaks_for_all():
    good = ProcessHealth(Histogram([0.001] * 100), 0.2)
    bad = ProcessHealth(Histogram([0.5] * 100), 0.95)
    health = worst([good, bad], Tally(), lost_workers=1)
    assert health.loop_lag_p99_s == pytest.approx(0.5, rel=0.01)
    assert (health.cpu_max, health.processes, health.lost_workers) == (0.95, 2, 1)


def test_the_wire_of_health_is_plain_data():
    monitor = HealthMonitor()
    assert json.dumps(monitor.take())


def test_what_held_the_loop_up_is_known_for_any_time():
    monitor = HealthMonitor()
    for due, now in ((1.0, 1.0005), (2.0, 2.5), (3.0, 3.2)):
        monitor._note_lag(now, due)
    assert monitor.held_up_s(0.0, 10.0) == pytest.approx(0.7)
    assert monitor.held_up_s(2.4, 3.1) == pytest.approx(0.2)
    assert monitor.held_up_s(0.0, 1.9) == 0
    assert monitor.held_up_s(3.3, 4.0) == 0
