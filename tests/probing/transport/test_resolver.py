"""Names that hang, and addresses, which need no lookup."""

import asyncio
import socket
import threading
from time import perf_counter

import pytest

from astrometer.api.endpoints import START_TIME
from astrometer.api.outcome import Outcome
from astrometer.probing.transport import resolver
from astrometer.probing.transport.probe_client import Transport


@pytest.fixture
def asked(monkeypatch):
    """What the system's resolver was asked for; `hangs.invalid` waits until the test is over.

    No name of `.invalid` goes to the real one, which may take its time.
    """
    hosts, over, real = [], threading.Event(), socket.getaddrinfo

    def getaddrinfo(host, *args, **kwargs):
        hosts.append(host)
        if host == "hangs.invalid":
            over.wait(30)
        if host.endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield hosts
    over.set()
    for thread in threading.enumerate():
        if thread.name == "resolve hangs.invalid":
            thread.join()


async def outcome(url: str) -> Outcome:
    transport = Transport(url)
    try:
        return (await transport.call(START_TIME, None, timeout_s=5.0, connect_s=0.3)).outcome
    finally:
        await transport.aclose()


def test_a_name_that_hangs_holds_up_no_other_and_no_end(bench, asked):
    async def go() -> None:
        hung = await asyncio.gather(*(outcome("http://hangs.invalid:1") for _ in range(40)))
        assert set(hung) == {Outcome.TIMEOUT_CONNECT}
        assert await outcome(bench.url.replace("127.0.0.1", "localhost")) is Outcome.OK

    began = perf_counter()
    asyncio.run(go())
    assert perf_counter() - began < 10
    assert asked.count("hangs.invalid") == 1


def test_an_address_is_not_looked_up(bench, asked):
    assert asyncio.run(outcome(bench.url)) is Outcome.OK
    assert asyncio.run(outcome("http://[::1]:1")) is Outcome.CONNECT
    assert bench.url.startswith("http://127.0.0.1:")
    assert not {"127.0.0.1", "::1"} & set(asked)


def test_a_name_that_nobody_knows_is_dns_for_all_who_ask(asked):
    async def go() -> list[Outcome]:
        return await asyncio.gather(*(outcome("http://nosuch.invalid:1") for _ in range(3)))

    assert asyncio.run(go()) == [Outcome.DNS] * 3


def test_a_lookup_that_cannot_start_is_dns_and_the_next_one_starts_anew(bench, asked, monkeypatch):
    def no_thread(thread: threading.Thread) -> None:
        monkeypatch.undo()
        raise RuntimeError(f"can't start new thread: {thread.name}")

    async def go() -> list[Outcome]:
        monkeypatch.setattr(resolver.Thread, "start", no_thread)
        return [await outcome(bench.url.replace("127.0.0.1", "localhost")) for _ in range(2)]

    assert asyncio.run(go()) == [Outcome.DNS, Outcome.OK]
