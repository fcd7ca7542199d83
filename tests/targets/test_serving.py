"""What every stand-in is served by."""

import socket
import statistics
import time

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from astrometer.targets.serving import serve

APP = Starlette(routes=[Route("/", lambda _: PlainTextResponse("here"))])


def test_it_is_there_within_the_context_and_gone_after_it():
    with serve(APP) as url:
        assert httpx.get(url).text == "here"
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_answers_on_a_kept_connection_do_not_wait_for_acknowledgements():
    """Without TCP_NODELAY each answer waits some 40 ms for the client's delayed ACK."""
    with serve(APP) as url, httpx.Client() as client:
        client.get(url)
        waits = []
        for _ in range(10):
            began = time.perf_counter()
            client.get(url)
            waits.append(time.perf_counter() - began)
    assert statistics.median(waits) < 0.035


def test_a_port_that_is_taken_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="ddress already in use"), serve(APP, port=port):
            pass
