"""A kept connection that is closed as a request goes out: told apart, repeated where that is harmless."""

import socket
import threading
from contextlib import closing, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrometer.api.call_exchange import CallExchange
from astrometer.api.keep_alive import MAX_IDLE_S, idle_limit_s, may_repeat
from astrometer.api.outcome import Outcome
from astrometer.load.transport.load_client import Client, Request

OK = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n"
    b'{"status":"ok","data":[12]}'
)


@contextmanager
def closes_after(answers):
    """Answers so many requests of each connection; reads the next one, and closes without a byte."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen: list[int] = []

    def talk(sock):
        with sock:
            for number in range(answers + 1):
                data = b""
                while b"\r\n\r\n" not in data:
                    more = sock.recv(65536)
                    if not more:
                        return
                    data += more
                seen.append(number)
                if number < answers:
                    sock.sendall(OK)

    def serve():
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(sock,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen
    finally:
        listener.close()


def test_a_get_is_asked_again_on_a_fresh_connection_and_counted(asked):
    with closes_after(1) as (url, seen):
        results = asked.calls(url, 3)
    assert [result.outcome for result in results] == [Outcome.OK] * 3
    assert [result.resent for result in results] == [0, 1, 1]
    assert len(seen) == 5  # 1, then the lost one and its repetition, twice


def test_a_fresh_connection_that_closes_without_an_answer_is_a_reset_and_nothing_is_repeated(asked):
    with closes_after(0) as (url, seen):
        result = asked.call(url)
    assert (result.outcome, result.resent, len(seen)) == (Outcome.RESET, 0, 1)


def test_a_post_that_may_have_been_read_is_not_sent_twice_and_is_not_called_a_reset():
    with closes_after(1) as (url, seen), closing(Client(url, lambda _scope: None)) as client:
        outcomes = []
        for _ in range(2):
            exchange = CallExchange(timeout_s=5)
            client.run(Request(method="POST", path="/x", scope=None, body=b"{}"), exchange)
            outcomes.append((exchange.result().outcome, exchange.result().resent))
    assert outcomes == [(Outcome.OK, 0), (Outcome.KEEPALIVE_RACE, 0)]
    assert len(seen) == 2


def test_only_one_repetition():
    with closes_after(1) as (url, seen), closing(Client(url, lambda _scope: None)) as client:
        exchange = CallExchange(timeout_s=5)
        client.run(Request(method="GET", path="/x", scope=None), exchange)
        seen.clear()
        exchange = CallExchange(timeout_s=5)
        client.run(Request(method="GET", path="/x", scope=None), exchange)
    assert exchange.result().resent == 1
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("method", "unsent", "may"),
    [("GET", False, True), ("DELETE", False, True), ("POST", False, False), ("POST", True, True)],
)
def test_what_may_be_repeated(method, unsent, may):
    assert may_repeat(method, unsent=unsent) is may


@pytest.mark.parametrize(
    ("header", "limit_s"),
    [("timeout=2", 1.6), ("max=100, Timeout=1", 0.8), ("timeout=60", MAX_IDLE_S), ("", MAX_IDLE_S)],
)
def test_a_promised_time_is_kept_with_a_margin(header, limit_s):
    assert idle_limit_s(header) == pytest.approx(limit_s)


@given(st.text())
def test_no_header_breaks_it(header):
    assert 0 <= idle_limit_s(header) <= MAX_IDLE_S
