"""A probe's times are the kernel's: its own loop, however late, does not enter them."""

import asyncio
import itertools
import threading
import time
from socket import SHUT_WR, create_connection, create_server

import pytest
from hostile import JSON, STREAM, Hostile
from scripted_wire import BEAT, CHUNKED, CUT, END, LAST_CHUNK, OPENING, STATS, TOKEN, chunk, play
from tls_files import Authority, tls_front
from waiting import until

from astrometer.api.chat.chat_exchange import ChatExchange, Deadlines
from astrometer.api.endpoints import CONFIGS, UPLOAD
from astrometer.api.outcome import Outcome
from astrometer.probing.transport.probe_client import Transport, Upload
from astrometer.probing.transport.socket_reader import MOST_WAITING_BYTES, LoopReader, PromptReader
from astrometer.probing.transport.stamped_stream import Meter, StampedStream
from astrometer.wire.receive_stamps import StampClock, stamp_clock
from astrometer.wire.tls import DEFAULT, TlsSettings

kernel_only = pytest.mark.skipif(stamp_clock() is not StampClock.KERNEL, reason="this system does not stamp")


def chat(url, *, stand_still=None, tls=DEFAULT, **deadlines):
    """A chat during which the loop stands still: from its first event on, as long as `stand_still` takes."""
    made = ChatExchange(streaming=True, deadlines=Deadlines(**{"total_s": 5.0, **deadlines}))
    once = iter([stand_still or (lambda: None)])

    async def go():
        transport = Transport(url, tls=tls)
        await transport.chat(made, None, {}, connect_s=5.0, observe=lambda _t, _event: next(once, int)())
        await transport.aclose()

    asyncio.run(go())
    return made.result()


ANSWER = [
    CHUNKED + chunk(OPENING),
    0.1,
    chunk(TOKEN),
    0.1,
    chunk(TOKEN),
    0.1,
    chunk(STATS + END) + LAST_CHUNK,
]


def until_sent(wire, count):
    """Nothing else happens in this thread until so much was sent, and a while longer."""

    def stand_still():
        while len(wire.sent_by) < count:
            time.sleep(0.001)
        time.sleep(0.2)

    return stand_still


@kernel_only
@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_loop_that_stands_still_as_the_first_token_comes_does_not_enter_its_time(count):
    """Nor as the next ones come."""
    with play(ANSWER) as wire:
        turn = chat(wire.url, stand_still=until_sent(wire, count))
    assert turn.outcome is Outcome.OK
    assert wire.sent_at[1] - 0.0005 <= turn.timings.t_token1 <= wire.sent_by[1] + 0.0005
    assert wire.sent_at[2] - 0.0005 <= turn.timings.t_tokenN <= wire.sent_by[2] + 0.0005
    assert "t_token1" not in turn.timings.since


def test_without_stamps_it_does(user_clock):
    with play(ANSWER) as wire:
        turn = chat(wire.url, stand_still=until_sent(wire, 2))
    assert turn.outcome is Outcome.OK
    assert turn.timings.t_token1 - wire.sent_by[1] > 0.19


@kernel_only
def test_over_tls_neither(tmp_path):
    authority = Authority(tmp_path)
    with play(ANSWER) as wire, tls_front(*authority.issue("front"), wire.url) as url:
        turn = chat(url, stand_still=until_sent(wire, 2), tls=TlsSettings(ca_file=authority.file))
    assert turn.outcome is Outcome.OK
    assert wire.sent_at[1] <= turn.timings.t_token1 <= wire.sent_by[1] + 0.1  # a thread relays it


def test_what_came_before_the_deadline_counts_although_the_loop_was_late(either_clock):
    with play([CHUNKED + chunk(OPENING), 0.1, chunk(TOKEN), 0.9, chunk(STATS + END) + LAST_CHUNK]) as wire:
        turn = chat(wire.url, stand_still=lambda: time.sleep(0.8), first_token_s=0.6)
    assert turn.outcome is Outcome.OK


def test_heartbeats_without_a_pause_extend_nothing(either_clock):
    def beats(_head):
        yield STREAM
        yield from itertools.repeat(BEAT)

    server = Hostile(beats)
    try:
        turn = chat(server.url, first_token_s=0.4)
    finally:
        server.close()
    assert turn.outcome is Outcome.TIMEOUT_FIRST_TOKEN
    assert turn.timings.t_close - turn.timings.t_send < 1.0
    assert turn.events["heartbeat"] > 10


def test_heartbeats_are_counted_however_they_are_cut(either_clock):
    script = [CHUNKED + chunk(OPENING), chunk(BEAT[:1]), 0.02, chunk(BEAT[1:]), chunk(BEAT + BEAT + TOKEN)]
    script += [chunk(STATS + END), LAST_CHUNK]
    with play(script) as wire:
        turn = chat(wire.url)
    assert turn.outcome is Outcome.OK
    assert turn.events["heartbeat"] == 3
    assert turn.bytes_received == len(OPENING + 3 * BEAT + TOKEN + STATS + END)


def test_a_good_event_before_what_is_not_http_keeps_its_time(either_clock):
    with play([CHUNKED + chunk(OPENING), chunk(TOKEN) + b"garbage\r\n"]) as wire:
        turn = chat(wire.url)
    assert turn.outcome is Outcome.MALFORMED
    assert turn.timings.ttft_s is not None


def test_a_stream_that_is_cut_keeps_what_came(either_clock):
    with play([CHUNKED + chunk(OPENING) + chunk(TOKEN), 0.05, CUT]) as wire:
        turn = chat(wire.url)
    assert turn.outcome is Outcome.RESET
    assert turn.text == "word "


def test_who_leaves_while_a_read_waits_leaves_nothing_open(either_clock):
    made = ChatExchange(streaming=True, deadlines=Deadlines())

    async def go(url):
        transport = Transport(url)
        asking = asyncio.create_task(transport.chat(made, None, {}, connect_s=5.0))
        await asyncio.sleep(0.1)
        asking.cancel()
        await asyncio.wait({asking})
        await transport.aclose()
        return asking.cancelled()

    with play([CHUNKED + chunk(OPENING + TOKEN), 5]) as wire:
        assert asyncio.run(go(wire.url))
    assert made.result().outcome is Outcome.CLIENT_CANCEL
    assert made.result().text == "word "


def test_an_upload_that_the_server_takes_slowly_goes_out_whole(either_clock):
    content = bytes(range(256)) * 16384  # 4 MiB: more than the buffers hold
    body = b'{"status":"ok","data":{}}'

    def answer(head):
        assert head.endswith(b"--\r\n")
        yield JSON % (b"200 OK", len(body), body)

    async def go(url):
        transport = Transport(url)
        upload = Upload(name="x.bin", content=content)
        result = await transport.call(UPLOAD, None, timeout_s=5, connect_s=1, upload=upload)
        await transport.aclose()
        return result

    server = Hostile(answer)
    try:
        result = asyncio.run(go(server.url))
    finally:
        server.close()
    assert (result.outcome, result.bytes_sent > len(content)) == (Outcome.OK, True)
    assert content in server.seen[0]


def test_no_file_left_for_a_connection_is_said():
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def go():
        transport = Transport("http://127.0.0.1:9")
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            return await transport.call(CONFIGS, None, timeout_s=5, connect_s=1)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            await transport.aclose()

    result = asyncio.run(go())
    assert (result.outcome, result.detail) == (Outcome.CONNECT, "Too many open files")


@pytest.mark.parametrize("reader", [LoopReader, PromptReader])
def test_nothing_of_an_answer_comes_before_its_question(either_clock, reader):
    async def go():
        with create_server(("127.0.0.1", 0)) as server:
            near = create_connection(server.getsockname())
            far, _ = server.accept()
        near.setblocking(False)
        stream = StampedStream(near, reader(near), Meter(), DEFAULT)
        with near, far:
            for _ in range(2):
                began = time.perf_counter()
                await stream.write(b"a")
                await stream.write(b"b")
                assert began <= stream.asked[0] <= stream.asked[1]
                far.send(b"answer")
                assert await stream.read(1) == b"answer"
                assert stream.asked[0] <= stream.receiver.since <= stream.receiver.t
            await stream.aclose()
            await stream.aclose()

    asyncio.run(go())


@kernel_only
def test_a_server_that_sends_more_than_anybody_asks_for_has_to_wait():
    """The thread reads ahead, and not without end."""

    async def go(server):
        near = create_connection(server.getsockname())
        far, _ = server.accept()
        far.setblocking(False)
        near.setblocking(False)
        stream = StampedStream(near, PromptReader(near), Meter(), DEFAULT)
        sent = 0
        with far:
            give_up = time.perf_counter() + 0.5
            while time.perf_counter() < give_up and sent < 64 * MOST_WAITING_BYTES:
                try:
                    sent += far.send(bytes(65536))
                except BlockingIOError:
                    time.sleep(0.01)
            assert MOST_WAITING_BYTES < sent < 64 * MOST_WAITING_BYTES
            far.shutdown(SHUT_WR)
            came = 0
            while data := await stream.read(65536):
                came += len(data)
                stream._meter.silent = 0
            assert came == sent
            assert await stream.read(1) == b""  # the end stays the end
            await stream.aclose()

    with create_server(("127.0.0.1", 0)) as server:
        asyncio.run(go(server))


@kernel_only
def test_who_leaves_while_the_thread_waits_for_room_leaves_no_thread():
    server = Hostile(lambda _: iter([STREAM, *itertools.repeat(bytes(65536), 500)]))

    async def go():
        near = create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1])))
        near.setblocking(False)
        reader = PromptReader(near)
        stream = StampedStream(near, reader, Meter(), DEFAULT)
        await stream.write(b"GET / HTTP/1.1\r\n\r\n")
        while reader._waiting_bytes <= MOST_WAITING_BYTES:
            await asyncio.sleep(0.01)
        await stream.aclose()

    try:
        asyncio.run(go())
        until(lambda: all(thread.name != "probe reader" for thread in threading.enumerate()))
    finally:
        server.close()
