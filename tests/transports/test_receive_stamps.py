"""When something arrived is the kernel's word, however late the process is that reads it."""

import math
import socket
import struct
import subprocess
import sys
import time
from contextlib import closing

import pytest

from astrometer.wire.receive_stamps import BLOCK_BYTES, StampClock, StampedReceiver, UnknownClock, stamp_clock

kernel_only = pytest.mark.skipif(stamp_clock() is not StampClock.KERNEL, reason="this system does not stamp")


@pytest.fixture
def pair():
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    near.setblocking(False)
    far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with closing(near), closing(far):
        yield near, far


class Late:
    """A clock of a process that is stopped for `by_s` whenever it is told to be."""

    def __init__(self):
        self.by_s = 0.0

    def now(self):
        return time.perf_counter() + self.by_s

    def wall(self):
        return time.time() + self.by_s


class Told:
    """What who waits for the socket says."""

    since = -math.inf

    def unread_since(self, t):
        assert t <= time.perf_counter() + 1
        return self.since


def received(receiver):
    while True:
        try:
            return receiver.receive()
        except BlockingIOError:
            time.sleep(0)


@kernel_only
def test_a_reader_that_is_late_still_knows_when_it_came(pair):
    near, far = pair
    receiver = StampedReceiver(near, bytearray(BLOCK_BYTES))
    sent = time.perf_counter()
    far.send(b"one")
    done = time.perf_counter()
    while time.perf_counter() < done + 0.1:
        pass
    assert received(receiver) == b"one"
    assert receiver.by_kernel
    assert sent - 0.0005 <= receiver.t <= done + 0.0005


@kernel_only
def test_what_was_merged_came_after_the_read_before_or_what_who_waited_says(pair):
    near, far = pair
    late, turns = Late(), Told()
    receiver = StampedReceiver(near, bytearray(BLOCK_BYTES), now=late.now, wall=late.wall, turns=turns)
    far.send(b"one")
    received(receiver)
    turns.since = math.inf
    assert receiver.since == receiver.t
    turns.since = (receiver._empty_at + receiver.t) / 2
    assert receiver.since == turns.since
    turns.since = -math.inf
    before = receiver.read_at
    far.send(b"two")
    far.send(b"three")
    late.by_s = 0.05
    assert received(receiver) == b"twothree"
    assert receiver.since == before
    assert receiver.t - receiver.since < 0.04


@kernel_only
def test_what_comes_after_the_system_has_read_is_after_the_bound_however_late_the_process_goes_on(pair):
    near, far = pair

    class Interrupted:
        """Something comes in between the system's read and this process's next step."""

        def __init__(self, sock):
            self._sock = sock
            self.setsockopt = sock.setsockopt

        def recvmsg_into(self, buffers, room):
            found = self._sock.recvmsg_into(buffers, room)
            far.send(b"two")
            sent.append(time.perf_counter())
            while time.perf_counter() < sent[-1] + 0.02:
                pass
            return found

    sent = []
    receiver = StampedReceiver(Interrupted(near), bytearray(BLOCK_BYTES))
    far.send(b"one")
    received(receiver)
    assert receiver.receive() == b"two"
    assert receiver.since <= sent[0]


@kernel_only
@pytest.mark.parametrize("step_s", [-3600.0, -0.2, 0.2, 3600.0])
def test_a_clock_that_is_set_harms_the_read_of_that_moment_and_no_other(pair, step_s):
    near, far = pair
    steps = [0.0]
    receiver = StampedReceiver(near, bytearray(BLOCK_BYTES), wall=lambda: time.time() + steps[-1])
    far.send(b"one")
    received(receiver)
    assert receiver.by_kernel
    steps.append(step_s)
    far.send(b"two")
    received(receiver)
    now = time.perf_counter()
    assert not receiver.by_kernel
    assert now - 0.01 < receiver.t <= now
    assert receiver.since <= receiver.t  # and the bound says what is not known


def test_a_full_buffer_leaves_the_lower_bound_where_it_was(pair):
    near, far = pair
    receiver = StampedReceiver(near, bytearray(4))
    before = receiver.read_at
    far.sendall(b"abcdef")
    assert received(receiver) == b"abcd"
    assert receiver.read_at == before
    assert received(receiver) == b"ef"
    assert receiver.read_at > before


def test_the_end_of_a_stream_is_empty(pair):
    near, far = pair
    receiver = StampedReceiver(near, bytearray(BLOCK_BYTES))
    far.close()
    assert received(receiver) == b""
    assert not receiver.by_kernel
    assert receiver.since == receiver.t


def test_without_stamps_the_process_is_the_clock_and_claims_no_bound(pair, monkeypatch):
    near, far = pair
    monkeypatch.setenv("ASTROMETER_CLOCK", "user")
    stamp_clock.cache_clear()
    try:
        assert stamp_clock() is StampClock.USER
        receiver = StampedReceiver(near, bytearray(BLOCK_BYTES))
        far.send(b"one")
        received(receiver)
        assert not receiver.by_kernel
        assert receiver.since == receiver.t
    finally:
        stamp_clock.cache_clear()


def test_an_unknown_clock_is_named_with_what_there_is(monkeypatch):
    monkeypatch.setenv("ASTROMETER_CLOCK", "sundial")
    stamp_clock.cache_clear()
    try:
        with pytest.raises(UnknownClock, match="ASTROMETER_CLOCK=sundial: it can be kernel or user"):
            stamp_clock()
    finally:
        stamp_clock.cache_clear()


@kernel_only
@pytest.mark.parametrize("control", [(1, 29, struct.pack("@ll", 1, 1)), (1, 30, b"\0" * 8)])
def test_another_control_message_is_no_stamp(control):
    class Socket:
        def setsockopt(self, *_):
            pass

        def recvmsg_into(self, buffers, _room):
            buffers[0][:3] = b"one"
            return 3, [control], 0, None

    receiver = StampedReceiver(Socket(), bytearray(BLOCK_BYTES))
    assert receiver.receive() == b"one"
    assert not receiver.by_kernel


MANY_FILES = """
import os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (1200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
kept = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
from astrometer.wire.receive_stamps import stamp_clock
print(stamp_clock().value)
"""


@pytest.mark.process
@kernel_only
def test_a_process_with_a_thousand_open_files_finds_out_too():
    done = subprocess.run(
        [sys.executable, "-c", MANY_FILES], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("kernel", "")
