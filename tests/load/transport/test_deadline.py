import time

from gevent import sleep

import pytest

from astrometer.load.transport.deadline import Alarm, Expired, Ring


def now():
    return time.perf_counter()


def test_an_alarm_rings_at_the_deadline():
    with Alarm() as alarm:
        start = now()
        alarm.set(start + 0.05, start)
        with pytest.raises(Ring):
            sleep(5)
        assert 0.03 < now() - start < 2


def test_a_deadline_that_moves_nearer_rings_earlier():
    with Alarm() as alarm:
        start = now()
        alarm.set(start + 60, start)
        alarm.set(start + 0.05, start)
        with pytest.raises(Ring):
            sleep(5)


def test_a_deadline_that_moved_away_rings_once_too_early_and_then_in_time():
    with Alarm() as alarm:
        start = now()
        alarm.set(start + 0.05, start)
        alarm.set(start + 0.15, start)
        with pytest.raises(Ring):
            sleep(5)
        alarm.has_rung()
        alarm.set(start + 0.15, now())
        with pytest.raises(Ring):
            sleep(5)
        assert now() - start > 0.1


def test_a_deadline_that_passed_is_expired():
    with Alarm() as alarm, pytest.raises(Expired):
        alarm.set(1.0, 1.0)


def test_nothing_rings_after_the_alarm_was_left():
    with Alarm() as alarm:
        alarm.set(now() + 0.02, now())
    sleep(0.1)
