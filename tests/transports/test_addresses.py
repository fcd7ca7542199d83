"""One dead address of a name delays nothing for long (RFC 8305)."""

import asyncio
import socket
import time
from contextlib import closing, contextmanager

import httpcore
import pytest
from hostile import JSON, Hostile

from astrometer.api.call_exchange import CallExchange
from astrometer.api.endpoints import CONFIGS
from astrometer.api.outcome import Outcome
from astrometer.load.transport.load_client import Client, Request
from astrometer.probing.transport import resolver
from astrometer.probing.transport.probe_client import Transport
from astrometer.wire.happy_eyeballs import ATTEMPT_DELAY_S, MOST_ATTEMPTS, in_turns

BODY = b'{"status":"ok","data":[]}'


@contextmanager
def black_hole(port):
    """127.0.0.2 on that port takes no connection and refuses none."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.2", port))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.2", port))
        yield
        for filler in fillers:
            filler.close()


@pytest.fixture
def server():
    server = Hostile(lambda _: iter([JSON % (b"200 OK", len(BODY), BODY)]))
    yield server
    server.close()


def ask(kind, port, addresses, monkeypatch, connect_s=3.0):
    """One call to a name that has these addresses."""
    if kind == "load":
        places = [(socket.AF_INET, (address, port)) for address in addresses]
        client = Client(
            f"http://two.test:{port}",
            lambda _scope: None,
            connect_timeout_s=connect_s,
            resolve=lambda _: places,
        )
        exchange = CallExchange(timeout_s=5)
        with closing(client):
            client.run(Request(method="GET", path="/x", scope=None), exchange)
        return exchange.result(), {}

    def found(*_args, **_kwargs):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]

    async def call():
        transport = Transport(f"http://two.test:{port}")
        result = await transport.call(CONFIGS, None, timeout_s=5, connect_s=connect_s)
        await transport.aclose()
        return result, transport.phases.seconds

    with monkeypatch.context() as patched:
        patched.setattr(resolver.socket, "getaddrinfo", found)
        return asyncio.run(call())


@pytest.mark.parametrize("kind", ["load", "probe"])
def test_a_dead_first_address_costs_one_delay(kind, server, monkeypatch):
    port = int(server.url.rsplit(":", 1)[1])
    with black_hole(port):
        result, phases = ask(kind, port, ["127.0.0.2", "127.0.0.1"], monkeypatch)
    assert result.outcome is Outcome.OK
    assert ATTEMPT_DELAY_S <= result.duration_s < ATTEMPT_DELAY_S + 0.5
    if phases:
        assert ATTEMPT_DELAY_S <= phases["connect"] < ATTEMPT_DELAY_S + 0.5
        assert phases["resolve"] < 0.2


@pytest.mark.parametrize("kind", ["load", "probe"])
def test_a_first_address_that_refuses_costs_nothing(kind, server, monkeypatch):
    port = int(server.url.rsplit(":", 1)[1])
    result, _ = ask(kind, port, ["127.0.0.3", "127.0.0.1"], monkeypatch)
    assert result.outcome is Outcome.OK
    assert result.duration_s < ATTEMPT_DELAY_S


@pytest.mark.parametrize("kind", ["load", "probe"])
def test_when_all_refuse_it_is_connect_and_when_none_answers_timeout_connect(kind, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    refused, _ = ask(kind, port, ["127.0.0.3", "127.0.0.1"], monkeypatch)
    assert (refused.outcome, refused.detail) == (Outcome.CONNECT, "Connection refused")
    with black_hole(port):
        began = time.perf_counter()
        silent, _ = ask(kind, port, ["127.0.0.2", "127.0.0.2"], monkeypatch, connect_s=0.6)
        assert time.perf_counter() - began < 2
    assert silent.outcome is Outcome.TIMEOUT_CONNECT


def test_families_take_turns_in_the_system_s_order():
    assert in_turns(["a6", "b6", "c6", "d4", "d4", "e4"], lambda a: a[1]) == ["a6", "d4", "b6", "e4", "c6"]
    assert len(in_turns(range(100), lambda _: 0)) == MOST_ATTEMPTS
    assert in_turns([], lambda _: 0) == []


def test_losers_are_closed():
    """Two connect at once: one is used, the other must not stay open."""
    from astrometer.probing.transport.network_backend import first_to_connect

    closed = []

    class Stream(httpcore.AsyncNetworkStream):
        def __init__(self, name):
            self.name = name

        async def aclose(self):
            closed.append(self.name)

    async def connect(address):
        await asyncio.sleep(0.4 - 0.25 * int(address))
        return Stream(address)

    async def race():
        return await first_to_connect(["0", "1"], connect)

    won = asyncio.run(race())
    assert {won.name, *closed} <= {"0", "1"}
    assert won.name not in closed
