"""A client of `/api/v1/chat/ws` that a test can drive: frames out, frames in with their times."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from waiting import PATIENCE_S
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

Frame = dict[str, Any]
PATH = "/api/v1/chat/ws"


class ChatSocketClient:
    """One connection."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def send(self, frame: object) -> None:
        self.socket.send(frame if isinstance(frame, str) else json.dumps(frame))

    def ask(self, username: str, message: object, **more: Any) -> None:
        self.send({"t": "send", "username": username, "message": message, **more})

    def frame(self, timeout_s: float = PATIENCE_S) -> Frame:
        """The next one, with the time it came in `_at`. Raises TimeoutError, ConnectionClosed."""
        return {**json.loads(self.socket.recv(timeout=timeout_s)), "_at": time.perf_counter()}

    def until(self, kind: str, timeout_s: float = PATIENCE_S) -> list[Frame]:
        """All frames up to the first of this type."""
        frames = [self.frame(timeout_s)]
        while frames[-1]["type"] != kind:
            frames.append(self.frame(timeout_s))
        return frames

    def closed(self, timeout_s: float = PATIENCE_S) -> tuple[int, str]:
        """Read to the end; how the connection was closed."""
        try:
            while True:
                self.socket.recv(timeout=timeout_s)
        except ConnectionClosed:
            return int(self.socket.close_code or 1006), self.socket.close_reason or ""


@contextmanager
def chat_socket(url: str, shown: Mapping[str, str], query: str = "") -> Iterator[ChatSocketClient]:
    """Raises InvalidStatus when the handshake is refused."""
    address = url.replace("http", "ws", 1) + PATH + query
    with connect(
        address, additional_headers=dict(shown), compression=None, proxy=None, ping_interval=None
    ) as socket:
        yield ChatSocketClient(socket)


def types(frames: list[Frame]) -> list[str]:
    """Their types in order, runs of one type once."""
    names = [frame["type"] for frame in frames]
    return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]


def text_of_turn(frames: list[Frame]) -> str:
    return "".join(frame["data"] for frame in frames if frame["type"] == "plain")
