"""Many users whose exchanges ended together: readers come in between, and everybody gets through."""

import socket
import time

import gevent
import gevent.socket

import pytest

from astrometer.load.turnstile import SLICE_S, Turnstile, breathe


def busy(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def test_a_reader_comes_in_after_each_millisecond_of_those_who_ended():
    happened = []
    near, far = gevent.socket.socketpair()
    with near, far:
        far.send(b"x" * 200)

        def read():
            for _ in range(200):
                gevent.socket.wait_read(near.fileno())
                near.recv(1, socket.MSG_DONTWAIT)
                happened.append("read")

        def end():
            breathe()
            busy(SLICE_S / 2)
            happened.append("ended")

        reader = gevent.spawn(read)
        gevent.joinall([gevent.spawn(end) for _ in range(100)])
        reader.kill()
    assert happened.count("ended") == 100
    between = "".join("e" if what == "ended" else " " for what in happened).split()
    assert max(map(len, between)) <= 2  # of half a millisecond each


def test_who_is_alone_goes_on():
    for _ in range(3):
        breathe()


def test_one_that_is_killed_while_it_waits_lets_the_others_through():
    through = []

    def end(number):
        breathe()
        through.append(number)

    users = [gevent.spawn(end, number) for number in range(3)]
    gevent.sleep(0)
    users[1].kill()
    gevent.joinall(users, timeout=5)
    assert through == [0, 2]


def test_what_one_raises_is_its_own():
    def fail():
        breathe()
        raise ValueError("of this user")

    through = []
    users = [gevent.spawn(fail), gevent.spawn(lambda: (breathe(), through.append(True)))]
    gevent.joinall(users, timeout=5)
    assert isinstance(users[0].exception, ValueError)
    assert through == [True]
    with pytest.raises(ValueError, match="of this user"):
        users[0].get()


def test_ctrl_c_while_they_go_through_holds_up_nobody():
    """Python raises it wherever it is, here as well."""
    pressed, through = [True], []

    def now():
        if through and pressed:
            pressed.pop()
            raise KeyboardInterrupt
        return time.perf_counter()

    turnstile = Turnstile(now)

    def end(number):
        turnstile.wait()
        through.append(number)

    users = [gevent.spawn(end, number) for number in range(5)]
    with pytest.raises(KeyboardInterrupt):
        gevent.joinall(users, timeout=5)
    gevent.joinall(users, timeout=5)
    assert through == [0, 1, 2, 3, 4]
