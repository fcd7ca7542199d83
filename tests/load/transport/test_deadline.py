import time
from contextlib import closing

from gevent import sleep, socket, spawn, ssl

import pytest

from astrometer.load.transport.deadline import Alarm, Expired, Ring, readable


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


def test_readable_waits_for_bytes_and_returns_at_once_when_some_are_there():
    one, other = socket.socketpair()
    with closing(one), closing(other), readable(one) as wait:
        writer = spawn(lambda: (sleep(0.05), other.sendall(b"x")))
        start = now()
        wait()
        assert now() - start > 0.03
        wait()
        assert one.recv(10) == b"x"
        writer.join()


def test_readable_returns_at_the_end_of_the_stream():
    one, other = socket.socketpair()
    with closing(one), readable(one) as wait:
        other.close()
        wait()
        assert one.recv(10) == b""


def test_tls_does_not_wait_since_it_may_hold_decrypted_bytes_back():
    one, other = socket.socketpair()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    wrapped = context.wrap_socket(one, server_hostname="localhost", do_handshake_on_connect=False)
    with closing(other), closing(wrapped), readable(wrapped) as wait:
        wait()
