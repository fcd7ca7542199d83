"""WebSocket bytes of a OneBot client <-> handshake, JSON payloads, close, as aiocqhttp does it."""

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any, Protocol

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

PATHS = frozenset({"/ws", "/ws/event", "/ws/api"})
ROLES = frozenset({"event", "api", "universal"})
AUTHORIZATION = re.compile(r"(?:[Tt]oken|[Bb]earer) (?P<token>\S+)")
LARGEST_MESSAGE = 16 * 1024 * 1024  # hypercorn's own limit
TOO_BIG = 1009


class ConnectionOwner(Protocol):
    @property
    def token(self) -> str: ...
    def joined(self, connection: "OneBotConnection") -> None: ...
    def left(self, connection: "OneBotConnection") -> None: ...
    def received(self, connection: "OneBotConnection", payload: dict[str, Any]) -> None: ...


def refusal(token: str, path: str, headers: Mapping[str, str]) -> int | None:
    """The HTTP status that a handshake is refused with; None when it is accepted."""
    if path == "/":
        return 405
    if path.rstrip("/") not in PATHS:
        return 404
    if token:
        shown = AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        if shown is None:
            return 401
        if shown["token"] != token:
            return 403
    role = headers.get("x-client-role")
    if role is None:
        return 400
    if role.lower() not in ROLES:
        return 500
    return None if "x-self-id" in headers else 400


class OneBotConnection(asyncio.Protocol):
    def __init__(self, owner: ConnectionOwner) -> None:
        self._owner = owner
        self._ws = WSConnection(ConnectionType.SERVER)
        self._message: list[str | bytes] = []
        self._size = 0
        self.accepted = False
        self.self_id = ""
        self.takes_actions = False
        self.sends_events = False

    # --- from the client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            self._ws.receive_data(data)
            for event in self._ws.events():
                self._on(event)
        except RemoteProtocolError as exc:
            if exc.event_hint is not None:
                self._transport.write(self._ws.send(exc.event_hint))
            self._transport.close()
        except LocalProtocolError:  # more data behind the close
            self._transport.close()

    def connection_lost(self, _exc: Exception | None) -> None:
        if self.accepted:
            self.accepted = False
            self._owner.left(self)

    def _on(self, event: object) -> None:
        match event:
            case Request():
                self._shake_hands(event)
            case TextMessage() | BytesMessage() if self._ws.state is ConnectionState.OPEN:
                self._collect(event)
            case Ping():
                self._transport.write(self._ws.send(event.response()))
            case CloseConnection():
                if self._ws.state is ConnectionState.REMOTE_CLOSING:
                    self._transport.write(self._ws.send(event.response()))
                self._transport.close()

    def _shake_hands(self, request: Request) -> None:
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in request.extra_headers}
        status = refusal(self._owner.token, request.target.partition("?")[0], headers)
        if status is not None:
            rejection = RejectConnection(status_code=status, headers=[(b"content-length", b"0")])
            self._transport.write(self._ws.send(rejection))
            self._transport.close()
            return
        role = headers["x-client-role"].lower()
        self.self_id = headers["x-self-id"]
        self.takes_actions = role in ("api", "universal")
        self.sends_events = role in ("event", "universal")
        self._transport.write(self._ws.send(AcceptConnection()))
        self.accepted = True
        self._owner.joined(self)

    def _collect(self, event: TextMessage | BytesMessage) -> None:
        self._message.append(event.data if isinstance(event.data, str) else bytes(event.data))
        self._size += len(event.data)
        if self._size > LARGEST_MESSAGE:
            # The client is in the middle of its message: it has to hear of the close before it may end.
            self._message = []
            self._transport.write(self._ws.send(CloseConnection(code=TOO_BIG)))
            return
        if not event.message_finished:
            return
        parts = [part.encode() if isinstance(part, str) else part for part in self._message]
        self._message, self._size = [], 0
        try:
            payload = json.loads(b"".join(parts))
        except ValueError:
            return
        if isinstance(payload, dict):
            self._owner.received(self, payload)

    # --- to the client

    def send(self, payload: dict[str, Any]) -> None:
        """A frame that no client takes any more is lost without a word."""
        if self.accepted and self._ws.state is ConnectionState.OPEN:
            self._transport.write(self._ws.send(TextMessage(data=json.dumps(payload))))

    def close(self, code: int, reason: str) -> None:
        if self._ws.state is ConnectionState.OPEN:
            self._transport.write(self._ws.send(CloseConnection(code=code, reason=reason)))
        self._transport.close()

    def abort(self) -> None:
        """Be gone without a close frame, as a killed server is: the client sees 1006."""
        self._transport.abort()
