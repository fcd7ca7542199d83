"""True times lie within the bounds, however late the thread is that reads for a probe."""

import asyncio
import fcntl
import socket
import struct
import threading
import time
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from tls_files import Authority
from tls_stage import encrypted, tls_stage

from astrometer.probing.transport.network_backend import Phases, TimedBackend
from astrometer.probing.transport.stamped_stream import Meter
from astrometer.wire.receive_stamps import StampClock, stamp_clock
from astrometer.wire.tls import DEFAULT, TlsSettings

pytestmark = pytest.mark.skipif(stamp_clock() is not StampClock.KERNEL, reason="this system does not stamp")

SLACK_S = 0.0005  # between this process's clock and the kernel's
EVENT_BYTES = 8
SIOCOUTQNSD = 0x894B  # linux/sockios.h


def held_back(sock):
    """How many bytes of what was written the kernel has not sent yet."""
    return struct.unpack("i", fcntl.ioctl(sock, SIOCOUTQNSD, bytes(4)))[0]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("turns"))


@pytest.fixture(params=["plain", "tls"])
def stage(request, authority):
    """A server of events: `stage(play)`, where `play` gets a `send` that notes its times in `sent`."""
    sent = []

    def noting(sock, encrypt):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def send(*events):
            ciphertext = encrypt(*events)
            before = time.perf_counter()
            sock.sendall(ciphertext)
            while held_back(sock):  # until the other side has acknowledged enough
                pass
            sent.extend([(before, time.perf_counter())] * len(events))

        return send

    @asynccontextmanager
    async def opened(play):
        if request.param == "tls":

            def play_encrypted(pump, sock):
                play(noting(sock, lambda *events: encrypted(pump, *events)))
                sock.recv(1)

            server, tls = tls_stage(authority, play_encrypted), TlsSettings(ca_file=authority.file)
        else:
            server, tls = (
                plain_stage(lambda sock: play(noting(sock, lambda *events: b"".join(events)))),
                DEFAULT,
            )
        with server as url:
            meter = Meter(streaming=True)
            port = int(url.rpartition(":")[2])
            stream = await TimedBackend(Phases(), meter, tls).connect_tcp("127.0.0.1", port)
            if request.param == "tls":
                stream = await stream.start_tls(None, "127.0.0.1")
            try:
                yield SimpleNamespace(stream=stream, sent=sent, meter=meter)
            finally:
                await stream.aclose()

    return opened


class plain_stage:  # noqa: N801 (as a context manager it reads like a function)
    def __init__(self, play):
        self._play = play

    def __enter__(self):
        listener = socket.create_server(("127.0.0.1", 0))

        def serve():
            sock, _ = listener.accept()
            with sock:
                sock.recv(100)
                self._play(sock)
                sock.recv(1)

        self._listener, self._thread = listener, threading.Thread(target=serve, daemon=True)
        self._thread.start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    def __exit__(self, *_):
        self._listener.close()
        self._thread.join(5)


def spin(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


async def bounds_of(on, count):
    """Of `count` events: no earlier, and no later."""
    found = []
    came = 0
    while len(found) < count:
        data = await on.stream.read(65536)
        on.meter.silent = 0
        assert data
        events = (came % EVENT_BYTES + len(data)) // EVENT_BYTES
        came += len(data)
        is_last = on.stream.is_whole and came % EVENT_BYTES == 0
        found += [(on.stream.since, on.stream.t)] * (events - is_last)
        found += [(on.stream.t, on.stream.t)] * is_last
    return found


async def until_it_waits(on):
    """The thread, for what comes next."""
    turns, give_up = on.stream.receiver._turns, time.perf_counter() + 5
    while not (turns._was_empty and turns._began > on.stream.t) and time.perf_counter() < give_up:
        await asyncio.sleep(0)


def check(bounds, sent):
    assert len(bounds) == len(sent)
    for number, ((low, high), (before, after)) in enumerate(zip(bounds, sent, strict=True)):
        assert low <= after + SLACK_S, f"event {number} had come {low - after:.4f} s before its lower bound"
        assert high >= before - SLACK_S, f"event {number} came {before - high:.4f} s after its upper bound"


def test_a_thread_that_is_kept_from_reading_claims_nothing_certain_that_is_not(stage):
    """It waits for a lock while the events come, 2 ms apart, and goes on as the last one is there."""
    go_on = threading.Event()

    def play(send):
        send(b"first...")
        go_on.wait(5)
        for number in range(20):
            spin(0.002)
            send(b"event %02d" % number)
        over.set()

    async def go():
        async with stage(play) as on:
            await on.stream.write(b"{}")
            bounds = await bounds_of(on, 1)
            await until_it_waits(on)
            with on.stream.receiver._state:  # the thread needs it after each read
                go_on.set()
                over.wait(5)
            return bounds + await bounds_of(on, 20), on.sent

    over = threading.Event()
    bounds, sent = asyncio.run(go())
    check(bounds, sent)
    uncertain = [high - low for low, high in bounds if high - low > 0.001]
    assert len(uncertain) >= 17  # all but what the thread read before it waited, and the last


def test_a_loop_that_does_not_give_up_python_s_lock_makes_no_bound_untrue(stage):
    def play(send):
        for number in range(200):
            spin(0.002)
            send(b"event%03d" % number)
        over.set()

    async def go():
        async with stage(play) as on:
            await on.stream.write(b"{}")
            while not over.is_set():
                spin(0.001)
            return await bounds_of(on, 200), on.sent

    over = threading.Event()
    check(*asyncio.run(go()))


def test_two_events_in_one_segment_came_together_however_late_the_thread_is(stage):
    """A segment that the kernel sent twice looks like two, and is not certain: then it is tried again."""

    async def width(go_on, has_read, over):
        def play(send):
            send(b"first...")
            go_on.wait(5)
            send(b"second..")
            has_read.wait(5)
            send(b"third...", b"fourth..")
            over.set()

        async with stage(play) as on:
            on.sent.clear()
            await on.stream.write(b"{}")
            bounds = await bounds_of(on, 1)
            await until_it_waits(on)
            turns, before = on.stream.receiver._turns, on.stream.receiver._turns.segments
            with on.stream.receiver._state:
                go_on.set()
                while turns.segments == before:
                    over.wait(0.001)
                has_read.set()
                over.wait(5)
                spin(0.005)
            bounds += await bounds_of(on, 3)
            check(bounds, on.sent)
            return max(high - low for low, high in bounds[2:])

    widths = []
    while len(widths) < 20 and not (widths and widths[-1] == 0):
        widths.append(asyncio.run(width(*(threading.Event() for _ in range(3)))))
    assert widths[-1] == 0


def test_what_was_sent_together_is_certain_where_the_thread_waited_for_it(stage):
    rounds = 20

    def play(send):
        for _ in range(rounds):
            time.sleep(0.005)
            send(b"one.....")
            send(b"two.....")

    async def go():
        async with stage(play) as on:
            await on.stream.write(b"{}")
            return await bounds_of(on, 2 * rounds), on.sent

    bounds, sent = asyncio.run(go())
    check(bounds, sent)
    assert sum(high - low < 0.001 for low, high in bounds) >= rounds  # others may use this machine, too
