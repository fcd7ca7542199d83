"""One run's HTTP client: a request of the API -> one `ChatTurn`, or one `CallResult`.

Redirects are not followed and no proxy is taken from the environment: a key goes to its target and nowhere
else.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from time import perf_counter
from typing import Any

import httpx

from astrometer import __version__
from astrometer.api.call_exchange import MAX_BODY_BYTES, CallExchange, CallResult
from astrometer.api.chat.chat_exchange import ChatExchange
from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.endpoints import CHAT, Endpoint
from astrometer.api.outcome import Outcome
from astrometer.config.settings import Key
from astrometer.probing.transport.exchange_driver import drive, opened
from astrometer.probing.transport.network_backend import Phases, TimedTransport
from astrometer.probing.transport.stamped_stream import Meter
from astrometer.probing.transport.stream_reading import Observer
from astrometer.wire.receive_stamps import stamp_clock
from astrometer.wire.tcp_info import TcpInfo
from astrometer.wire.tls import DEFAULT, TlsSettings

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


async def _keep_redirect(response: httpx.Response) -> None:
    """httpx raises for a Location that is not a URL, though nobody follows it: the status is lost."""
    try:
        httpx.URL(response.headers.get("location", ""))
    except httpx.InvalidURL:
        del response.headers["location"]


class Transport:
    """One target's HTTP connections for the length of one run. `http` stands in for the network in tests."""

    def __init__(
        self, url: str, *, tls: TlsSettings = DEFAULT, http: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.url = url
        self._tls = tls
        self._http = http
        self.phases = Phases()  # of the connection of the plain calls
        stamp_clock()  # the first answer takes a moment, which would be part of a question's time
        self._closed: list[TcpInfo] = []  # of each connection that is over
        self._meter = Meter(self._closed)
        self._client = self._new_client(self.phases, self._meter)

    def _new_client(self, phases: Phases, meter: Meter) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=self._http or TimedTransport(phases, meter, self._tls),
            timeout=None,  # noqa: S113 (the deadlines are ours)
            follow_redirects=False,
            trust_env=False,
            headers=HEADERS,
            event_hooks={"response": [_keep_redirect]},
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    def networks(self) -> tuple[TcpInfo, ...]:
        """What the kernel says of each connection so far, also of those that never stood."""
        kept = self._meter.stream
        open_now = None if kept is None else kept.network()
        return (*self._closed, *([] if open_now is None else [open_now]))

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
        meter = Meter(self._closed, streaming=True)
        async with self._new_client(phases or Phases(), meter) as client:
            request = self._request(
                client,
                CHAT,
                key,
                connect_s=connect_s,
                phases=phases,
                json=dict(body),
                headers={"Accept": "text/event-stream"},
            )
            await drive(client, meter, request, exchange, observe)
        if phases is not None:
            phases.clock = None if meter.stream is None else meter.stream.receiver.clock
            if phases.cert_expires_at is not None:
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
        extra: dict[str, Any] = {}
        if json is not None:
            extra["json"] = json
        if upload is not None:
            extra["files"] = {"file": (upload.name, upload.content, upload.content_type)}
        if params is not None:
            extra["params"] = dict(params)
        began = perf_counter()
        try:
            request = self._request(
                self._client, endpoint, key, connect_s=connect_s, path=path, style=style, **extra
            )
        except httpx.InvalidURL as exc:  # with an id of the server's that is too long for one
            unsent = CallExchange(timeout_s=timeout_s)
            unsent.sent(began)
            unsent.lost(perf_counter(), Outcome.MALFORMED, str(exc))
            return unsent.result()
        exchange = CallExchange(
            timeout_s=timeout_s,
            bytes_sent=int(request.headers.get("content-length", 0)),
            raw=raw,
            max_bytes=max_bytes,
        )
        await drive(self._client, self._meter, request, exchange)
        return exchange.result()

    async def head_of(
        self,
        endpoint: Endpoint,
        *,
        timeout_s: float,
        key: Key | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """The head of an answer. Raises httpx.TransportError, TimeoutError."""
        async with asyncio.timeout(timeout_s):
            request = self._request(self._client, endpoint, key, connect_s=timeout_s, headers=headers)
            async with opened(self._client, request) as response:
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
