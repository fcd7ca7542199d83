"""The same request over the load's transport and over the probes': what both must make of a server."""

import asyncio
import json
import time
from contextlib import closing

import pytest

from astrometer.api.call_exchange import CallExchange, CallResult
from astrometer.api.chat.chat_exchange import ChatExchange, Deadlines
from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.endpoints import CHAT, CONFIGS
from astrometer.config.secret import Secret
from astrometer.config.settings import Key
from astrometer.load.transport.load_client import Client, Request
from astrometer.probing.transport.probe_client import Transport
from astrometer.wire.receive_stamps import VARIABLE, stamp_clock
from astrometer.wire.tls import DEFAULT, TlsSettings

# Each by the clock that this system has, and by its own.
BOTH = ("load", "probe", "load-user", "probe-user")


class Asked:
    """One client of one kind; `call` and `chat` may come one after the other."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def calls(self, url: str, count: int = 1, *, tls: TlsSettings = DEFAULT, pause_s: float = 0.0, **limits):
        """`count` calls over one client."""
        timeout_s = limits.get("timeout_s", 5.0)
        if self.kind == "probe":
            return asyncio.run(self._probe_calls(url, count, tls, pause_s, timeout_s))
        results: list[CallResult] = []
        with closing(Client(url, lambda _scope: None, tls=tls)) as client:
            for number in range(count):
                if number and pause_s:
                    time.sleep(pause_s)
                exchange = CallExchange(timeout_s=timeout_s)
                client.run(Request(method="GET", path=CONFIGS.path, scope=None), exchange)
                results.append(exchange.result())
        return results

    async def _probe_calls(self, url, count, tls, pause_s, timeout_s):
        transport = Transport(url, tls=tls)
        results = []
        for number in range(count):
            if number and pause_s:
                await asyncio.sleep(pause_s)
            results.append(await transport.call(CONFIGS, None, timeout_s=timeout_s, connect_s=timeout_s))
        await transport.aclose()
        return results

    def call(self, url: str, **options) -> CallResult:
        return self.calls(url, **options)[0]

    def chat(
        self,
        url: str,
        *,
        secret: str | None = None,
        body: dict[str, object] | None = None,
        tls: TlsSettings = DEFAULT,
        **deadlines: float,
    ) -> ChatTurn:
        exchange = ChatExchange(streaming=True, deadlines=Deadlines(**{"total_s": 5.0, **deadlines}))
        if self.kind == "probe":
            asyncio.run(self._probe_chat(url, exchange, secret, body or {}, tls))
        else:
            key = None if secret is None else Secret(secret)
            with closing(Client(url, lambda _scope: key, tls=tls)) as client:
                request = Request(
                    method="POST",
                    path=CHAT.path,
                    scope=None if secret is None else "chat",
                    body=json.dumps(body or {}).encode(),
                    content_type="application/json",
                )
                client.run(request, exchange)
        return exchange.result()

    async def _probe_chat(self, url, exchange, secret, body, tls) -> None:
        transport = Transport(url, tls=tls)
        key = None if secret is None else Key(name="chat", secret=Secret(secret))
        await transport.chat(exchange, key, body, connect_s=5.0)
        await transport.aclose()


@pytest.fixture
def user_clock(monkeypatch):
    """No stamps of the kernel's, as on other systems."""
    with monkeypatch.context() as patch:
        patch.setenv(VARIABLE, "user")
        stamp_clock.cache_clear()
        yield
    stamp_clock.cache_clear()


@pytest.fixture(params=["kernel", "user"])
def either_clock(request):
    """By the stamps of the kernel, where there are some; and without."""
    if request.param == "user":
        request.getfixturevalue("user_clock")


@pytest.fixture(params=BOTH)
def asked(request) -> Asked:
    kind, _, clock = request.param.partition("-")
    if clock:
        request.getfixturevalue("user_clock")
    return Asked(kind)
