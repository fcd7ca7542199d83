"""A run's events -> the bytes of a `text/event-stream` response, with pacing, heartbeats, stamps and cuts.

Each event says in `_sent_ns` when it was handed to the socket (`perf_counter_ns`, which processes of one
Linux machine share): a client on the same machine can check its own accuracy against it.
"""

import asyncio
import socket
import struct
from time import perf_counter_ns

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from astrometer.targets.simulator.chats.chat_run import Item, SimulatedRun
from astrometer.targets.simulator.simulated_faults import Fault, FaultKind

HEARTBEAT = b": heartbeat\n\n"
BROKEN_EVENT = b'data: {"type": "plain", "data": "w\n\n'
ERROR_EVENT = b'data: {"type": "error", "data": "WebChat run failed"}\n\n'
PACE_S = 0.05
TRANSPORT = "astrometer.transport"


class EventStream(Response):
    """The response to a chat. The run goes on when the client leaves."""

    def __init__(self, run: SimulatedRun, *, heartbeat_s: float, stamp: bool, fault: Fault | None) -> None:
        super().__init__()
        self.run = run
        self.wire = run.wire
        self.heartbeat_s = heartbeat_s
        self.stamp = stamp
        self.fault = fault
        self.contents = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", self.wire.stream_type.encode()), (b"cache-control", b"no-cache")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        watcher = asyncio.create_task(self._watch(receive))
        try:
            whole = await self._write(scope, send)
        finally:
            watcher.cancel()
        if whole:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.run.channel.abandon()

    async def _write(self, scope: Scope, send: Send) -> bool:
        """Write events until the end; whether the body ends as it should."""
        channel = self.run.channel
        silent = self.fault is not None and self.fault.kind is FaultKind.SILENCE
        while True:
            try:
                item = await channel.get(self.heartbeat_s)
            except EOFError:
                return True
            if item is None:
                if self.wire.heartbeats and not silent:
                    await _body(send, HEARTBEAT)
                continue
            if silent and item.type != "session_id":
                await self.run.channel.left.wait()
                return True
            if self.fault is not None and item.is_content and self.contents == self.fault.after_tokens:
                if await self._strike(scope, send):
                    return self.fault.kind not in (FaultKind.CUT, FaultKind.HANGUP)
            elif item.type == "end" and self.fault is not None and self.fault.kind is FaultKind.NO_END:
                continue
            await self._event(send, item)

    async def _event(self, send: Send, item: Item) -> None:
        self.contents += item.is_content
        tail = b', "_sent_ns": %d}\n\n' % perf_counter_ns() if self.stamp else b"}\n\n"
        await _body(send, item.head + tail)
        if item.paced and not self.wire.unpaced:
            await asyncio.sleep(PACE_S)

    async def _strike(self, scope: Scope, send: Send) -> bool:
        """Let the fault of the stream happen; whether the stream is over."""
        match self.fault.kind if self.fault else None:
            case FaultKind.CUT | FaultKind.HANGUP as kind:
                close_connection(scope, reset=kind is FaultKind.CUT)
                await self.run.channel.left.wait()  # until uvicorn noticed that the connection is gone
            case FaultKind.MALFORMED:
                await _body(send, BROKEN_EVENT)
                return False
            case FaultKind.STREAM_ERROR:
                await _body(send, ERROR_EVENT)
            case FaultKind.TRUNCATED:
                pass
            case _:
                return False
        return True


async def _body(send: Send, content: bytes) -> None:
    await send({"type": "http.response.body", "body": content, "more_body": True})


def remember_transport(scope: Scope, send: Send) -> None:
    """Keep the connection under the server's own `send` for faults. ASGI has no word for "cut it off".

    uvicorn hands the app a bound method of its request cycle, which knows the transport.
    """
    scope[TRANSPORT] = getattr(getattr(send, "__self__", None), "transport", None)


def close_connection(scope: Scope, *, reset: bool) -> None:
    """Close the client's connection in mid-reply: by TCP reset, or orderly but without the last chunk.

    Raises RuntimeError under a server that shows no transport (anything but uvicorn).
    """
    transport: asyncio.Transport | None = scope.get(TRANSPORT)
    if transport is None:
        raise RuntimeError("a cut needs uvicorn: its request cycle shows the connection")
    if reset:
        connection: socket.socket = transport.get_extra_info("socket")
        # Linger 0: the close that follows sends RST instead of FIN.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
