import socket
import time
from contextlib import closing, contextmanager

import gevent

import pytest
from scripted_wire import (
    BEAT,
    CHUNKED,
    CUT,
    END,
    HEAD,
    LAST_CHUNK,
    NEXT,
    OPENING,
    RESET,
    STATS,
    TOKEN,
    WHOLE,
    chunk,
    play,
)  # fmt: skip

from astrometer.api.call_exchange import CallExchange
from astrometer.api.chat.chat_exchange import ChatExchange, Deadlines
from astrometer.api.outcome import Outcome
from astrometer.config.secret import Secret
from astrometer.load.transport.load_client import Client, Request
from astrometer.load.transport.multipart import Multipart, SampleFile

KEY = "abk-very-secret"
CHAT = Request(method="POST", path="/api/v1/chat", scope="chat", body=b"{}", content_type="application/json")
LIST = Request(method="GET", path="/api/v1/configs", scope="config")
JSON_OK = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n"
    b'{"status":"ok","data":[12]}'
)


@contextmanager
def client_of(url, **options):
    with closing(Client(url, lambda _scope: Secret(KEY), **options)) as client:
        yield client


def chat(url, **deadlines):
    exchange = ChatExchange(streaming=True, deadlines=Deadlines(**deadlines))
    with client_of(url) as client:
        client.run(CHAT, exchange)
    return exchange.result()


def call(client, request=LIST, **options):
    exchange = CallExchange(timeout_s=5, **options)
    client.run(request, exchange)
    return exchange.result()


def test_a_whole_stream_is_ok():
    with play([CHUNKED + chunk(WHOLE) + LAST_CHUNK]) as wire:
        turn = chat(wire.url)
    assert turn.outcome is Outcome.OK
    assert turn.text == "word word "
    assert turn.session_id == "s-1"


def test_every_chunk_is_stamped_when_it_arrives_and_not_when_a_buffer_is_full():
    tokens = [part for _ in range(10) for part in (0.05, chunk(TOKEN))]
    with play([CHUNKED + chunk(OPENING), *tokens, chunk(STATS + END) + LAST_CHUNK]) as wire:
        turn = chat(wire.url)
    sent = wire.sent_at[1:11]
    assert turn.timings.t_token1 - sent[0] < 0.02
    assert turn.timings.t_tokenN - sent[-1] < 0.02
    gaps = sorted(turn.timings.chunk_gaps_s)
    assert len(gaps) == 9
    assert 0.045 < gaps[4] < 0.07


def test_what_comes_after_an_answer_does_not_wake_its_user_who_waits_for_something_else():
    with play([JSON_OK, 0.05, b"late"]) as wire, client_of(wire.url) as client:
        assert call(client).outcome is Outcome.OK
        gevent.sleep(0.15)  # raises InvalidSwitchError where it is woken
        assert len(wire.sent_at) == 2


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ([CHUNKED + chunk(OPENING + TOKEN), CUT], Outcome.RESET),
        ([CHUNKED + b"ff\r\n" + OPENING, CUT], Outcome.RESET),
        ([CHUNKED + chunk(OPENING + TOKEN), 0.05, RESET], Outcome.RESET),
        ([CHUNKED + chunk(OPENING + TOKEN) + LAST_CHUNK], Outcome.TRUNCATED),
        ([HEAD + b"\r\n" + OPENING + TOKEN, CUT], Outcome.TRUNCATED),
        ([HEAD + b"\r\n" + WHOLE, CUT], Outcome.OK),
        ([HEAD + b"Content-Length: 9999\r\n\r\n" + OPENING, CUT], Outcome.RESET),
        ([CUT], Outcome.RESET),
        ([RESET], Outcome.RESET),
        ([b"this is no HTTP\r\n\r\n", CUT], Outcome.MALFORMED),
        ([CHUNKED + chunk(WHOLE), 0.05, RESET], Outcome.OK),
        ([b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED + chunk(WHOLE) + LAST_CHUNK], Outcome.OK),
        ([b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"], Outcome.CLIENT_ERROR),
        ([b"HTTP/1.1 401 Nope\r\nContent-Length: 0\r\n\r\n"], Outcome.UNAUTHORIZED),
    ],
)  # fmt: skip
def test_each_way_to_end_has_its_outcome(script, outcome):
    with play(script) as wire:
        turn = chat(wire.url)
        assert turn.outcome is outcome
        assert len(wire.requests) == 1  # no retry, no redirect


def test_heartbeats_do_not_extend_the_wait_for_the_first_token():
    beats = [part for _ in range(30) for part in (0.05, chunk(BEAT))]
    with play([CHUNKED + chunk(OPENING), *beats]) as wire:
        turn = chat(wire.url, first_token_s=0.4)
    assert turn.outcome is Outcome.TIMEOUT_FIRST_TOKEN
    assert 0.4 <= turn.timings.t_close - turn.timings.t_send < 0.6
    assert turn.heartbeats >= 2


def test_heartbeats_do_not_hide_a_stall():
    beats = [part for _ in range(30) for part in (0.05, chunk(BEAT))]
    with play([CHUNKED + chunk(OPENING + TOKEN), *beats]) as wire:
        turn = chat(wire.url, idle_s=0.3)
    assert turn.outcome is Outcome.STALLED
    assert turn.timings.ttft_s is not None


def test_a_server_that_accepts_and_says_nothing_meets_the_total_deadline():
    with play([5.0]) as wire:
        turn = chat(wire.url, total_s=0.3)
    assert turn.outcome is Outcome.TIMEOUT_TOTAL


def test_a_closed_port_is_connect():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert chat(f"http://127.0.0.1:{port}").outcome is Outcome.CONNECT


def test_an_unknown_host_is_dns():
    assert chat("http://no..such..host").outcome is Outcome.DNS


def test_a_server_without_tls_is_tls():
    with play([b"HTTP/1.1 400 No\r\n\r\n", CUT], read_request=False) as wire:
        turn = chat(wire.url.replace("http:", "https:"), total_s=3)
    assert turn.outcome is Outcome.TLS


def test_a_handshake_that_never_comes_meets_the_connect_deadline():
    with play([5.0]) as wire:
        exchange = ChatExchange(streaming=True, deadlines=Deadlines())
        with client_of(wire.url.replace("http:", "https:"), connect_timeout_s=0.3) as client:
            client.run(CHAT, exchange)
    assert exchange.result().outcome is Outcome.TIMEOUT_CONNECT


def test_a_host_that_does_not_accept_is_timeout_connect():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:  # fill the queue of the kernel
            filler.setblocking(False)
            filler.connect_ex(address)
        exchange = ChatExchange(streaming=True, deadlines=Deadlines())
        with client_of(f"http://127.0.0.1:{address[1]}", connect_timeout_s=0.3) as client:
            client.run(CHAT, exchange)
        for filler in fillers:
            filler.close()
    assert exchange.result().outcome is Outcome.TIMEOUT_CONNECT


def test_one_connection_serves_one_exchange_after_the_other():
    with play([JSON_OK, NEXT, JSON_OK]) as wire, client_of(wire.url) as client:
        assert call(client).payload == [12]
        assert call(client).outcome is Outcome.OK
        assert wire.connections == 1


def test_a_connection_that_the_server_closed_while_idle_is_not_a_reset():
    with play([JSON_OK, CUT]) as wire, client_of(wire.url) as client:
        assert call(client).outcome is Outcome.OK
        time.sleep(0.1)
        assert call(client).outcome is Outcome.OK
        assert wire.connections == 2


def test_a_user_killed_in_mid_stream_leaves_a_cutoff_and_stays_killed():
    with play([CHUNKED + chunk(OPENING + TOKEN), 5.0]) as wire:
        exchange = ChatExchange(streaming=True, deadlines=Deadlines())
        client = Client(wire.url, lambda _scope: None)
        greenlet = gevent.spawn(client.run, CHAT, exchange)
        gevent.sleep(0.2)
        greenlet.kill()
    assert isinstance(greenlet.value, gevent.GreenletExit)
    turn = exchange.result()
    assert turn.outcome is Outcome.CUTOFF
    assert turn.timings.ttft_s is not None


def test_the_key_goes_into_one_header_and_nowhere_else():
    with play([CHUNKED + chunk(WHOLE) + LAST_CHUNK]) as wire:
        turn = chat(wire.url)
    (request,) = wire.requests
    assert request.count(KEY.encode()) == 1
    assert f"\r\nAuthorization: Bearer {KEY}\r\n".encode() in request
    assert b"\r\nAccept-Encoding: identity\r\n" in request
    assert KEY not in repr(turn)


def test_an_upload_is_sent_as_it_is_made():
    file = SampleFile.make(".bin", "application/octet-stream", 300_000)
    body = Multipart(file)
    with play([JSON_OK]) as wire, client_of(wire.url) as client:
        request = Request(
            method="POST", path="/api/v1/file", scope="file", body=body, content_type=body.content_type
        )
        assert call(client, request).outcome is Outcome.OK
    head, _, sent = wire.requests[0].partition(b"\r\n\r\n")
    assert f"Content-Length: {body.length}".encode() in head
    assert len(sent) == body.length
    assert file.name.encode() in sent


def test_a_refusal_before_the_upload_is_through_is_read():
    refusal = b"HTTP/1.1 413 Too large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    body = Multipart(SampleFile.make(".bin", "application/octet-stream", 20_000_000))
    with play([refusal, 0.2], read_body=False) as wire, client_of(wire.url) as client:
        request = Request(
            method="POST", path="/api/v1/file", scope="file", body=body, content_type=body.content_type
        )
        exchange = CallExchange(timeout_s=1)
        client.run(request, exchange)
    # The server never read the rest: either its answer was seen, or the write ran into the deadline.
    assert exchange.result().outcome in (Outcome.CLIENT_ERROR, Outcome.RESET, Outcome.TIMEOUT_TOTAL)


def test_a_download_of_other_bytes_is_a_mismatch():
    file = SampleFile.make(".txt", "text/plain", 40)
    good = b"".join(file.blocks())
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 40\r\n\r\n"
    with play([head + good, NEXT, head + good[::-1]]) as wire, client_of(wire.url) as client:
        assert call(client, expect_sha256=file.sha256).outcome is Outcome.OK
        assert call(client, expect_sha256=file.sha256).outcome is Outcome.CANARY_MISMATCH


def test_a_download_of_a_missing_attachment_is_an_api_error():
    body = b'{"status":"error","message":"Attachment not found"}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
    with play([answer % (len(body), body)]) as wire, client_of(wire.url) as client:
        assert call(client, expect_sha256="0" * 64).outcome is Outcome.API_ERROR
