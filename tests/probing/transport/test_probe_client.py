"""What goes wrong between us and the server, each under its own outcome. Real sockets wherever they do."""

import asyncio
import socket
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress
from time import perf_counter

import httpx
import pytest

from astrometer.api.endpoints import CONFIGS, DOWNLOAD, START_TIME
from astrometer.probing.cleanup.identity import Identity, Memory
from astrometer.probing.context import Context
from astrometer.probing.run_record import Limits
from astrometer.probing.runner import Runner
from astrometer.probing.transport.probe_client import Transport
from astrometer.probing.verdict import ProbeRun, Verdict
from astrometer.wire.receive_stamps import StampClock, stamp_clock

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(text: str) -> bytes:
    raw = text.encode()
    return b"%x\r\n%s\r\n" % (len(raw), raw)


SESSION = chunk('data: {"type":"session_id","data":null,"session_id":"s"}\n\n')
TOKEN = chunk('data: {"type":"plain","data":"w0 ","streaming":true,"chain_type":null}\n\n')


@contextmanager
def raw_server(*replies: bytes, then_wait_s: float = 0.0, seen: list[bytes] | None = None):
    """Answers each connection with the same bytes and closes it; `seen` collects what was asked."""
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                asked = connection.recv(65536)
                if seen is not None:
                    seen.append(asked)
                with suppress(OSError):  # the client has left, as it may
                    for reply in replies:
                        connection.sendall(reply)
                        stop.wait(0.02)
                    stop.wait(then_wait_s)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


async def only_chat(ctx: Context) -> Verdict:
    """A chat in a given session: nothing else is asked of a server that knows nothing else."""
    return Verdict.of(await ctx.chat("hello", session_id="s"))


@pytest.fixture
def chat_at(bench):
    """Chat with any server, as if the key's identity were known."""
    who = Identity(username="u", can_delete=True, why="", learnt_at=perf_counter())

    def chat(url: str, **limits: float) -> ProbeRun:
        plan = bench.plan(
            bench.target("all", url=url), only_chat, limits=Limits(**{"total_s": 20.0, **limits})
        )
        return asyncio.run(Runner(memory=Memory(identities={(("sim", url), "all"): who})).run(plan))

    return chat


def test_unknown_host_is_dns(bench):
    assert bench.ask("hi", bench.target("all", url="http://nosuch.invalid:6185")).reason == "dns"


def test_closed_port_is_connect(bench):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    run = bench.ask("hi", bench.target("all", url=f"http://127.0.0.1:{port}"))
    assert (run.reason, run.detail) == ("connect", "Connection refused")
    assert run.unreachable
    assert run.cleanup_failures == ()
    assert "connect" not in run.phases  # not reached: absent, not 0


def test_tls_to_a_plain_port_is_tls(bench):
    run = bench.ask("hi", bench.target("all", url=bench.url.replace("http://", "https://")))
    assert run.reason == "tls"


def test_no_answer_to_the_connection_is_timeout_connect(bench):
    # A full backlog: the kernel leaves further connections unanswered.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(address)
            fillers.append(filler)
        run = bench.ask("hi", bench.target("all", url=f"http://127.0.0.1:{address[1]}"), connect_s=0.3)
        for filler in fillers:
            filler.close()
    assert run.reason == "timeout_connect"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="TCP_INFO is Linux's")
def test_a_connection_that_never_stood_tells_what_it_sent_again():
    async def call() -> Transport:
        transport = Transport(f"http://127.0.0.1:{address[1]}")
        await transport.call(START_TIME, None, timeout_s=5, connect_s=1.5)
        await transport.aclose()
        return transport

    with socket.socket() as listener, ExitStack() as fillers:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(4):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        (info,) = asyncio.run(call()).networks()
    assert info.retransmits == 1  # after a second
    assert info.min_rtt_s is None


@pytest.mark.parametrize("clock", ["kernel", "user"])
def test_the_log_says_whose_clock_it_was(bench, request, clock):
    if clock == "user":
        request.getfixturevalue("user_clock")
    elif stamp_clock() is not StampClock.KERNEL:
        pytest.skip("this system does not stamp")
    assert f"  clock: {clock}" in [line.text for line in bench.ask("hi").log]


def test_connection_closed_without_an_answer_is_reset(chat_at):
    with raw_server() as url:
        assert chat_at(url).reason == "reset"


def test_body_cut_in_the_middle_of_a_chunk_is_reset_and_keeps_its_first_token(chat_at):
    with raw_server(STREAM, SESSION, TOKEN, b"40\r\nhalf") as url:
        run = chat_at(url)
    assert run.reason == "reset"
    assert run.ttft_s is not None


def test_whole_body_without_end_is_truncated(chat_at):
    with raw_server(STREAM, SESSION, TOKEN, b"0\r\n\r\n") as url:
        assert chat_at(url).reason == "truncated"


def test_heartbeats_do_not_prolong_the_first_token_deadline(chat_at):
    beats = [chunk(": heartbeat\n\n")] * 60
    with raw_server(STREAM, SESSION, *beats, then_wait_s=5) as url:
        run = chat_at(url, first_token_s=0.4, cleanup_s=0.5)
    assert run.reason == "timeout_first_token"
    assert 0.39 < run.duration_s < 1.0


def test_heartbeats_after_a_token_do_not_hide_a_stall(chat_at):
    beats = [chunk(": heartbeat\n\n")] * 60
    with raw_server(STREAM, SESSION, TOKEN, *beats, then_wait_s=5) as url:
        run = chat_at(url, idle_s=0.3, cleanup_s=0.5)
    assert run.reason == "stalled"
    assert run.duration_s < 1.0


def test_silence_before_the_headers_meets_the_first_token_deadline(chat_at):
    with raw_server(then_wait_s=5) as url:
        assert chat_at(url, first_token_s=0.3, cleanup_s=0.5).reason == "timeout_first_token"


def test_a_redirect_is_not_followed_and_the_key_stays_home(bench, chat_at):
    elsewhere: list[bytes] = []
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", seen=elsewhere) as other:
        moved = f"HTTP/1.1 307 Moved\r\nLocation: {other}/api/v1/chat\r\nContent-Length: 0\r\n\r\n"
        with raw_server(moved.encode()) as url:
            run = chat_at(url, cleanup_s=0.5)
    assert run.reason == "client_error"
    assert elsewhere == []


def test_no_proxy_is_taken_from_the_environment(bench, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert bench.ask("hi").reason == "ok"


def test_answers_are_asked_for_uncompressed(chat_at):
    seen: list[bytes] = []
    with raw_server(STREAM, SESSION, b"0\r\n\r\n", seen=seen) as url:
        chat_at(url)
    assert b"accept-encoding: identity" in seen[0].lower()


def test_a_plain_call_stops_reading_an_endless_answer():
    def endless(_request: httpx.Request) -> httpx.Response:
        async def body():
            while True:
                yield b"x" * 65536

        return httpx.Response(200, headers={"content-type": "application/json"}, content=body())

    async def call() -> object:
        transport = Transport("http://t", http=httpx.MockTransport(endless))
        result = await transport.call(CONFIGS, None, timeout_s=5, connect_s=1, max_bytes=100_000)
        await transport.aclose()
        return result

    result = asyncio.run(call())
    assert result.outcome == "malformed"
    assert result.bytes_received < 200_000


def test_a_stored_json_file_is_downloaded_and_an_error_envelope_is_not():
    answers = iter([b"[1, 2]", b'{"status":"error","message":"Attachment not found"}'])

    def answer(_request: httpx.Request) -> httpx.Response:
        async def body():
            yield next(answers)

        return httpx.Response(200, headers={"content-type": "application/json"}, content=body())

    async def call() -> list[object]:
        transport = Transport("http://t", http=httpx.MockTransport(answer))
        both = [await transport.call(DOWNLOAD, None, timeout_s=5, connect_s=1, raw=True) for _ in range(2)]
        await transport.aclose()
        return both

    stored, missing = asyncio.run(call())
    assert (stored.outcome, stored.body) == ("ok", b"[1, 2]")
    assert (missing.outcome, missing.detail) == ("api_error", "Attachment not found")


def test_phases_add_up_to_the_time_to_first_token(bench):
    run = bench.ask("hi")
    steps = ("resolve", "connect", "headers", "first_event", "first_token")
    assert sum(run.phases[step] for step in steps) == pytest.approx(run.ttft_s, abs=0.005)
    assert "tls" not in run.phases


def test_first_token_is_what_the_model_was_told(bench):
    run = bench.ask("[[ttft=0.4 gap=0.05 tokens=5]]")
    assert run.ttft_s == pytest.approx(0.4, abs=0.05)
    assert all(gap == pytest.approx(0.05, abs=0.03) for gap in run.turns[-1].timings.chunk_gaps_s)


def test_head_of_tells_the_date(bench):
    async def head() -> httpx.Response:
        transport = Transport(bench.url)
        response = await transport.head_of(START_TIME, timeout_s=5)
        await transport.aclose()
        return response

    assert "date" in asyncio.run(head()).headers


def test_limits_default_to_a_minute():
    assert Limits().total_s == 60
