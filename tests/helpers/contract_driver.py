"""A server under contract -> chats and calls against it, through the project's own exchange and decoder."""

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from astrometer.api import endpoints as ep
from astrometer.api.chat.chat_exchange import ChatExchange, Deadlines
from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.chat.events import ChatEvent, EventKind
from astrometer.api.chat.messages import Message, chat_body

PATIENCE_S = 60.0
# Loopback is plain HTTP; loading the CA bundle for each client would take longer than most requests.
PLAIN = {"timeout": PATIENCE_S, "verify": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running AstrBot, real or simulated."""

    url: str
    version: tuple[int, int, int]
    keys: Mapping[str, str]
    key_ids: Mapping[str, str]
    real: bool

    @property
    def fastapi(self) -> bool:
        return self.version >= (4, 26, 0)

    def auth(self, key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[key]}"}

    def call(
        self, endpoint: ep.Endpoint, *, key: str = "all", path: Mapping[str, str] | None = None, **more: Any
    ):
        """One request; the answer as it came."""
        headers = {**self.auth(key), **more.pop("headers", {})}
        url = endpoint.url(self.url, **(path or {}))
        return httpx.request(endpoint.method, url, headers=headers, **PLAIN, **more)

    def raw(self, method: str, path: str, **more: Any) -> httpx.Response:
        """One request with exactly these headers."""
        return httpx.request(method, self.url + path, **PLAIN, **more)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A finished chat: what the project makes of it, and its events with the times they came in."""

    turn: ChatTurn
    events: Sequence[tuple[float, ChatEvent]]
    content_type: str
    sent: float

    @property
    def types(self) -> list[str]:
        """Event types in order, runs of the same type once, heartbeats left out."""
        names = [event.type for _, event in self.events if event.kind is not EventKind.HEARTBEAT]
        return [name for index, name in enumerate(names) if index == 0 or names[index - 1] != name]

    def first(self, kind: EventKind) -> tuple[float, ChatEvent]:
        return next((t, event) for t, event in self.events if event.kind is kind)

    def all(self, kind: EventKind) -> list[ChatEvent]:
        return [event for _, event in self.events if event.kind is kind]


def new_name(prefix: str = "contract") -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


@contextmanager
def streaming_chat(
    server: Server, body: Mapping[str, Any], key: str
) -> Iterator[tuple[httpx.Response, ChatExchange]]:
    exchange = ChatExchange(
        streaming=bool(body.get("enable_streaming", True)),
        deadlines=Deadlines(first_token_s=PATIENCE_S, total_s=PATIENCE_S),
    )
    with httpx.Client(**PLAIN) as client:
        exchange.sent(time.perf_counter())
        url = ep.CHAT.url(server.url)
        with client.stream("POST", url, headers=server.auth(key), json=body) as response:
            now = time.perf_counter()
            exchange.headers(now, response.status_code, response.headers.get("content-type", ""))
            yield response, exchange


def chat(
    server: Server,
    message: Message,
    *,
    key: str = "chat",
    streaming: bool = True,
    username: str | None = None,
    session_id: str | None = None,
    **more: Any,
) -> Seen:
    """Ask, read to the end, and return what was seen."""
    body = chat_body(
        username=username or new_name("user"),
        message=message,
        session_id=session_id,
        streaming=streaming,
        **more,
    )
    events: list[tuple[float, ChatEvent]] = []
    sent = time.perf_counter()
    with streaming_chat(server, body, key) as (response, exchange):
        for chunk in response.iter_raw():
            t = time.perf_counter()
            events.extend((t, event) for event in exchange.feed(t, chunk))
        exchange.eof(time.perf_counter())
    content_type = response.headers["content-type"]
    return Seen(turn=exchange.result(), events=events, content_type=content_type, sent=sent)
