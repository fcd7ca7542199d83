"""Endless heads, trailers, interim answers and chunk extensions end at a limit, over both transports."""

import itertools
import json
import re
import resource
from contextlib import closing

import pytest
from hostile import STREAM, Hostile
from scripted_wire import END, STATS, chunk

from astrometer.api.outcome import Outcome

CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LINE = b"X-Filler: " + b"y" * 1000 + b"\r\n"


def forever(start, piece):
    yield start
    for _ in itertools.repeat(None):
        yield piece


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: forever(b"HTTP/1.1 200 OK\r\n", LINE),
        lambda _: forever(b"HTTP/1.1 200 OK\r\nX-Endless: ", b"y" * 1000),
        lambda _: forever(b"HTTP/1.1 200 ", b"y" * 1000),
        lambda _: forever(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 40),
        lambda _: forever(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 20),
        lambda _: forever(CHUNKED + b"0\r\n", LINE),
        lambda _: forever(CHUNKED + b"1;ext=", b"y" * 1000),
    ],
    ids=["headers", "one header", "reason", "100", "103", "trailers", "chunk extension"],
)
def test_what_never_becomes_an_answer_is_malformed_at_a_limit(asked, answer):
    server = Hostile(answer)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        turn = asked.chat(server.url, total_s=10.0)
    finally:
        server.close()
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert turn.outcome is Outcome.MALFORMED
    assert turn.timings.t_close - turn.timings.t_send < 5
    assert grown_mb < 50


def test_a_long_answer_in_small_chunks_is_no_such_thing(asked):
    event = b'data: {"type":"plain","data":"w ","streaming":true}\n\n'
    whole = [
        CHUNKED,
        *(b"%x;a=b\r\n%s\r\n" % (len(event), event) for _ in range(5000)),
        chunk(STATS + END) + b"0\r\nTrailer: x\r\n\r\n",
    ]
    with closing(Hostile(lambda _: iter(whole))) as server:
        turn = asked.chat(server.url)
    assert turn.text.count("w ") == 5000
    assert turn.events["plain"] == 5000
    assert turn.outcome is Outcome.OK


def test_a_redirect_tells_where_to_without_its_secrets(asked):
    head = (
        b"HTTP/1.1 302 Found\r\nLocation: https://u:pw@other.example/login?token=abk_secret#x\r\n"
        b"Content-Length: 0\r\nConnection: close\r\n\r\n"
    )
    with closing(Hostile(lambda _: iter([head]))) as server:
        told = asked.call(server.url)
    assert told.outcome is Outcome.CLIENT_ERROR
    assert told.detail == "HTTP 302: a redirect to https://other.example/login, which is not followed"


@pytest.mark.parametrize("place", [b"http://[::1", b"http://a:99999999/"])
def test_a_redirect_to_what_is_no_url_is_a_redirect(asked, place):
    head = b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % place
    with closing(Hostile(lambda _: iter([head]))) as server:
        told = asked.call(server.url)
    assert told.outcome is Outcome.CLIENT_ERROR
    assert told.detail.startswith("HTTP 302")
    assert told.detail.isprintable()


@pytest.mark.parametrize("text", ["\x1b[2J\x1b]0;pwned\x07", "a\u202eb", "x\r\n\tfake: line", "\ud800"])
def test_the_server_s_words_cannot_write_on_the_terminal(asked, text):
    body = json.dumps({"status": "error", "message": text}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    with closing(Hostile(lambda _: iter([head + body]))) as server:
        told = asked.call(server.url)
    assert told.outcome is Outcome.API_ERROR
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202e\ud800-\udfff]", told.detail)


def test_an_endless_plain_answer_ends_at_its_limit(asked):
    server = Hostile(
        lambda _: forever(STREAM.replace(b"text/event-stream", b"application/json"), b"[" * 65536)
    )
    try:
        told = asked.call(server.url)
    finally:
        server.close()
    assert told.outcome is Outcome.MALFORMED
    assert told.bytes_received < 6e6


@pytest.mark.parametrize(
    ("piece", "detail"),
    [
        (b"x" * 65536, "bytes without an end"),
        (b": " + b"x" * 65000 + b"\n", "a stream of more than"),
        (b"data: " + b"x" * 65000 + b"\n\n", "a stream of more than"),
    ],
    ids=["line", "heartbeats", "events"],
)
def test_an_endless_stream_ends_at_its_limit(asked, piece, detail):
    with closing(Hostile(lambda _: forever(STREAM, piece))) as server:
        turn = asked.chat(server.url, first_token_s=10.0, total_s=10.0)
    assert turn.outcome is Outcome.MALFORMED
    assert detail in turn.detail
