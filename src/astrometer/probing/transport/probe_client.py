"""Request -> raw chunks with the time each arrived -> one `ChatTurn`, or one `CallResult`.

A chunk is stamped when httpx hands it over, before anything parses it. The deadlines are the exchange's
own, so a heartbeat prolongs nothing. Redirects are not followed and no proxy is taken from the environment:
a key goes to its target and nowhere else.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from time import perf_counter
from typing import Any

import httpx

from astrometer import __version__
from astrometer.api.call_exchange import CallResult
from astrometer.api.chat_exchange import ChatExchange, ChatTurn
from astrometer.api.endpoints import CHAT, Endpoint
from astrometer.api.events import ChatEvent
from astrometer.api.outcome import Outcome, classify_json, classify_status
from astrometer.config.settings import Key
from astrometer.probing.transport.network_backend import Phases, TimedTransport, outcome_of, said_of

Observer = Callable[[float, ChatEvent], None]
MAX_BODY_BYTES = 4 * 1024 * 1024
USER_AGENT = f"astrometer/{__version__}"
# gzip would hide the arrival of the chunks.
HEADERS = {"Accept-Encoding": "identity", "User-Agent": USER_AGENT}


class HeaderStyle(StrEnum):
    """The headers in which every version takes a key."""

    X_API_KEY = "X-API-Key"
    BEARER = "Authorization: Bearer"
    API_KEY = "Authorization: ApiKey"

    def header(self, secret: str) -> dict[str, str]:
        name, _, scheme = self.value.partition(": ")
        return {name: f"{scheme} {secret}" if scheme else secret}


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file to send as multipart field `file`."""

    name: str
    content: bytes
    content_type: str = "text/plain"


class Transport:
    """One target's HTTP connections for the length of one run. `http` stands in for the network in tests."""

    def __init__(self, url: str, *, http: httpx.AsyncBaseTransport | None = None) -> None:
        self.url = url
        self._http = http
        self.phases = Phases()  # of the connection of the plain calls
        self._client = self._new_client(self.phases)

    def _new_client(self, phases: Phases) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=self._http or TimedTransport(phases),
            timeout=None,  # noqa: S113 (the deadlines are ours)
            follow_redirects=False,
            trust_env=False,
            headers=HEADERS,
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    async def chat(
        self,
        exchange: ChatExchange,
        key: Key | None,
        body: Mapping[str, Any],
        *,
        connect_s: float,
        phases: Phases | None = None,
        observe: Observer = lambda _t, _event: None,
    ) -> ChatTurn:
        """Drive `exchange` through one `POST /chat`. A cancelled chat is finished as `client_cancel`.

        On a connection of its own, whose steps go to `phases`: if some TTFTs included connecting and some did
        not, no two would compare.
        """
        async with self._new_client(phases or Phases()) as client:
            request = self._request(
                client,
                CHAT,
                key,
                connect_s=connect_s,
                phases=phases,
                json=dict(body),
                headers={"Accept": "text/event-stream"},
            )
            await _stream(client, request, exchange, observe)
        if phases is not None and phases.cert_expires_at is not None:
            self.phases.cert_expires_at = phases.cert_expires_at
        return exchange.result()

    async def call(
        self,
        endpoint: Endpoint,
        key: Key | None,
        *,
        timeout_s: float,
        connect_s: float,
        raw: bool = False,
        max_bytes: int = MAX_BODY_BYTES,
        path: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        upload: Upload | None = None,
        style: HeaderStyle = HeaderStyle.X_API_KEY,
    ) -> CallResult:
        """One request whose answer is AstrBot's JSON envelope, or with `raw` any bytes."""
        t_send = perf_counter()
        extra: dict[str, Any] = {}
        if json is not None:
            extra["json"] = json
        if upload is not None:
            extra["files"] = {"file": (upload.name, upload.content, upload.content_type)}
        if params is not None:
            extra["params"] = dict(params)
        request = self._request(
            self._client, endpoint, key, connect_s=connect_s, path=path, style=style, **extra
        )
        status: int | None = None
        body = bytearray()

        def end(outcome: Outcome, detail: str = "", payload: Any = None) -> CallResult:
            return CallResult(
                outcome=outcome,
                duration_s=perf_counter() - t_send,
                t_send=t_send,
                status=status,
                payload=payload,
                body=bytes(body),
                bytes_sent=int(request.headers.get("content-length", 0)),
                bytes_received=len(body),
                detail=detail[:200],
            )

        try:
            async with asyncio.timeout(timeout_s), _opened(self._client, request) as response:
                status = response.status_code
                content_type = response.headers.get("content-type", "")
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > max_bytes:
                        return end(Outcome.MALFORMED, f"the answer is longer than {max_bytes} bytes")
        except TimeoutError:
            return end(Outcome.TIMEOUT_TOTAL, f"after {timeout_s:.1f} s")
        except (httpx.TransportError, httpx.InvalidURL) as exc:
            return end(outcome_of(exc), said_of(exc))
        if raw and "json" not in content_type.lower() and "html" not in content_type.lower():
            return end(classify_status(status) or Outcome.OK)
        verdict = classify_json(status, content_type, bytes(body))
        # A stored JSON or HTML file is an answer too; only the server's own error envelope is not.
        if raw and verdict.outcome is Outcome.MALFORMED and "json" in content_type.lower():
            return end(Outcome.OK)
        return end(verdict.outcome, verdict.message, verdict.payload)

    async def head_of(self, endpoint: Endpoint, *, timeout_s: float) -> httpx.Response:
        """The head of an answer to a request without a key. Raises httpx.TransportError, TimeoutError."""
        async with asyncio.timeout(timeout_s):
            request = self._request(self._client, endpoint, None, connect_s=timeout_s)
            async with _opened(self._client, request) as response:
                return response

    def _request(
        self,
        client: httpx.AsyncClient,
        endpoint: Endpoint,
        key: Key | None,
        *,
        connect_s: float,
        phases: Phases | None = None,
        path: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        style: HeaderStyle = HeaderStyle.X_API_KEY,
        **extra: Any,
    ) -> httpx.Request:
        auth = {} if key is None else style.header(key.secret.reveal())
        return client.build_request(
            endpoint.method,
            endpoint.url(self.url, **(path or {})),
            headers={**(headers or {}), **auth},
            timeout=httpx.Timeout(None, connect=connect_s),
            extensions={"trace": (phases or self.phases).trace},
            **extra,
        )


@asynccontextmanager
async def _opened(client: httpx.AsyncClient, request: httpx.Request) -> AsyncIterator[httpx.Response]:
    response = await client.send(request, stream=True)
    try:
        yield response
    finally:
        await response.aclose()


async def _stream(
    client: httpx.AsyncClient, request: httpx.Request, exchange: ChatExchange, observe: Observer
) -> None:
    loop = asyncio.get_running_loop()
    exchange.sent(perf_counter())

    def next_deadline() -> float:
        return loop.time() + exchange.deadline()[0] - perf_counter()

    try:
        async with asyncio.timeout_at(next_deadline()) as clock:
            async with _opened(client, request) as response:
                now = perf_counter()
                kind, to = (response.headers.get(name, "") for name in ("content-type", "location"))
                exchange.headers(now, response.status_code, kind, to)
                async for chunk in response.aiter_raw():
                    now = perf_counter()
                    for event in exchange.feed(now, chunk):
                        observe(now, event)
                    if exchange.done:
                        break
                    clock.reschedule(next_deadline())
                else:
                    exchange.eof(perf_counter())
    except TimeoutError:
        exchange.expire(perf_counter())
    except (httpx.TransportError, httpx.InvalidURL) as exc:
        exchange.lost(perf_counter(), outcome_of(exc), said_of(exc))
    except asyncio.CancelledError:
        exchange.abort(perf_counter(), Outcome.CLIENT_CANCEL)
        raise
