"""One way to read streams, in a process of its own: `peers.py NAME URL STREAMS SECONDS` -> JSON on stdout.

A reader reads ONE stream; it calls `note(t, text)` for every content event.
"""

import sys

NAME = sys.argv[1]
if NAME != "aiohttp":
    from gevent import monkey

    monkey.patch_all()

import asyncio  # noqa: E402
import json  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402
from urllib.parse import urlsplit  # noqa: E402

Note = Callable[[float, str], None]
BODY = json.dumps({"message": "calibrate", "username": "bench", "enable_streaming": True}).encode()
PATH = "/api/v1/chat"
now = time.perf_counter
RAMP_S = 2.0


class Notes:
    """What one process saw."""

    def __init__(self) -> None:
        self.streams: list[list[tuple[float, str]]] = []
        self.window: list[tuple[float, float]] = []

    def stream(self) -> Note:
        notes: list[tuple[float, str]] = []
        self.streams.append(notes)
        append = notes.append
        return lambda t, text: append((t, text))

    def mark(self) -> None:
        self.window.append((now(), time.process_time()))

    def found(self) -> dict[str, Any]:
        (start, cpu_start), (end, cpu_end) = self.window
        gaps, delays = [], []
        for notes in self.streams:
            before = None
            for t, text in notes:
                sent_s = int(text) / 1e9
                if start <= t <= end:
                    delays.append(t - sent_s)
                    if before is not None:
                        gaps.append((t - before[0]) - (sent_s - before[1]))
                before = t, sent_s
        return {"gap_s": gaps, "delay_s": delays, "cpu_s": cpu_end - cpu_start, "seconds": end - start}


def gevent_reader(
    make: Callable[[str], Callable[[Note], None]], url: str, streams: int, seconds: float
) -> Notes:
    import gevent

    notes = Notes()

    def user() -> None:
        read = make(url)
        while len(notes.window) < 2:
            read(notes.stream())

    users = []
    began = now()
    for number in range(streams):
        gevent.sleep(max(0.0, began + number * RAMP_S / streams - now()))
        users.append(gevent.spawn(user))
    gevent.sleep(1.5)
    notes.mark()
    gevent.sleep(seconds)
    notes.mark()
    gevent.joinall(users, timeout=30)  # a reader may note its events at the end of the stream
    return notes


def bare(url: str) -> Callable[[Note], None]:
    """As little as one can do: receive, stamp, HTTP parser, split into lines, JSON."""
    from gevent import socket

    from geventhttpclient.response import HTTPResponse

    parts = urlsplit(url)
    sock = socket.create_connection((parts.hostname, parts.port))
    if parts.scheme == "https":
        from gevent import ssl

        # Trusts $SSL_CERT_FILE, as all readers do.
        sock = ssl.create_default_context().wrap_socket(sock, server_hostname=parts.hostname)
    head = f"POST {PATH} HTTP/1.1\r\nHost: golden\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()

    def read(note: Note) -> None:
        sock.sendall(head + BODY)
        parser = HTTPResponse("POST")
        tail = b""
        while not parser.message_complete:
            data = sock.recv(65536)
            t = now()
            parser.feed(data)
            body = bytes(parser._body_buffer)  # noqa: SLF001 (its reader wants a socket)
            parser._body_buffer.clear()  # noqa: SLF001
            *lines, tail = (tail + body).split(b"\n")
            for line in lines:
                if line.startswith(b"data: "):
                    event = json.loads(line[6:])
                    if event["type"] == "plain":
                        note(t, event["data"])

    return read


def client(url: str) -> Callable[[Note], None]:
    """astrometer's client and exchange, without Locust around them."""
    from astrometer.api.chat.chat_exchange import ChatExchange, Deadlines
    from astrometer.load.transport.load_client import Client, Request

    ours = Client(url, lambda _scope: None)
    request = Request(
        method="POST", path=PATH, scope="chat", body=BODY, content_type="application/json",
        accept="text/event-stream",
    )  # fmt: skip

    def read(note: Note) -> None:
        exchange = ChatExchange(streaming=True, deadlines=Deadlines())
        ours.run(request, exchange)
        turn = exchange.result()
        t = turn.timings.t_token1 or 0.0
        for gap_s, text in zip((0.0, *turn.timings.chunk_gaps_s), turn.text.split(), strict=True):
            t += gap_s
            note(t, text)

    return read


def iter_lines(url: str) -> Callable[[Note], None]:
    from locust.contrib.fasthttp import FastHttpSession
    from locust.env import Environment

    session = FastHttpSession(url, Environment().events.request, None)

    def read(note: Note) -> None:
        for line in session.iter_lines(PATH, "POST", data=BODY, headers={"Content-Type": "application/json"}):
            t = now()
            if line.startswith("data: "):
                event = json.loads(line[6:])
                if event["type"] == "plain":
                    note(t, event["data"])

    return read


def httpx_sse(url: str) -> Callable[[Note], None]:
    import httpx
    from httpx_sse import connect_sse

    from astrometer.wire.tls import context_of

    session = httpx.Client(base_url=url, timeout=60, trust_env=False, verify=context_of())

    def read(note: Note) -> None:
        with connect_sse(session, "POST", PATH, content=BODY) as source:
            for item in source.iter_sse():
                t = now()
                event = item.json()
                if event["type"] == "plain":
                    note(t, event["data"])

    return read


async def aiohttp_reader(url: str, streams: int, seconds: float) -> Notes:
    import aiohttp

    notes = Notes()

    async def user(session: "aiohttp.ClientSession") -> None:
        while len(notes.window) < 2:
            note, tail = notes.stream(), b""
            async with session.post(url + PATH, data=BODY) as response:
                async for data in response.content.iter_any():
                    t = now()
                    *lines, tail = (tail + data).split(b"\n")
                    for line in lines:
                        if line.startswith(b"data: "):
                            event = json.loads(line[6:])
                            if event["type"] == "plain":
                                note(t, event["data"])

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        tasks = []

        began = now()
        for number in range(streams):
            await asyncio.sleep(max(0.0, began + number * RAMP_S / streams - now()))
            tasks.append(asyncio.create_task(user(session)))
        await asyncio.sleep(1.5)
        notes.mark()
        await asyncio.sleep(seconds)
        notes.mark()
        await asyncio.wait(tasks, timeout=30)
    return notes


def main() -> None:
    url, streams, seconds = sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    if NAME == "aiohttp":
        notes = asyncio.run(aiohttp_reader(url, streams, seconds))
    else:
        makers = {"bare": bare, "client": client, "iter_lines": iter_lines, "httpx_sse": httpx_sse}
        notes = gevent_reader(makers[NAME], url, streams, seconds)
    found = notes.found()
    sys.stdout.write(json.dumps(found))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
