"""AstrBot's `aiocqhttp` adapter -> the sink: a OneBot v11 client that is everybody's messenger and says yes.

AstrBot listens, the client connects (reverse WebSocket) and connects again whenever AstrBot comes back. Each
action is acknowledged at once: AstrBot's `POST /im/message` waits for it. The time of a message is taken when
its frame is there, before it is parsed.
"""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import perf_counter
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from astrometer.targets.messenger.sink import FRIEND, GROUP, PLATFORM, Sink

SELF_ID = 10001
HEADERS = {"X-Self-ID": str(SELF_ID), "X-Client-Role": "Universal"}
RETRY_S = 0.2
OPEN_TIMEOUT_S = 5.0
LARGEST_FRAME = 64 * 1024 * 1024  # a pushed image comes as base64


class OneBotClient:
    """One messenger account, as long as `run` runs."""

    def __init__(self, url: str, sink: Sink) -> None:
        self.url = url
        self.sink = sink
        self._message_id = 0

    async def run(self) -> None:
        """Stay connected until cancelled."""
        while True:
            try:
                async with connect(
                    self.url,
                    additional_headers=HEADERS,
                    proxy=None,
                    compression=None,
                    open_timeout=OPEN_TIMEOUT_S,
                    close_timeout=1,
                    ping_interval=None,  # a busy AstrBot is no reason to leave
                    max_size=LARGEST_FRAME,
                ) as connection:
                    await self._serve(connection)
            except (OSError, InvalidHandshake, ConnectionClosed, TimeoutError):
                pass  # AstrBot is not there yet, or is gone: both are normal here
            finally:
                self.sink.connected = False
            await asyncio.sleep(RETRY_S)

    async def _serve(self, connection: ClientConnection) -> None:
        await connection.send(json.dumps(_connected()))
        self.sink.connected = True
        late: set[asyncio.Task[None]] = set()
        try:
            while True:
                frame = await connection.recv()
                t_s = perf_counter()
                answer = self._act(t_s, frame)
                if answer is None:
                    continue
                if self.sink.faults.delay_ack_s:
                    task = asyncio.create_task(_later(connection, answer, self.sink.faults.delay_ack_s))
                    late.add(task)
                    task.add_done_callback(late.discard)
                else:
                    await connection.send(answer)
        finally:
            for task in late:
                task.cancel()

    def _act(self, t_s: float, frame: str | bytes) -> str | None:
        """The acknowledgement of an action; None when there shall be none."""
        try:
            asked = json.loads(frame)
        except ValueError:
            return None
        if not isinstance(asked, dict) or "action" not in asked:
            return None  # an answer to an event of ours
        self.sink.action()
        given = asked.get("params")
        parameters = given if isinstance(given, dict) else {}
        umo = _umo(str(asked["action"]), parameters)
        if umo is not None and not self.sink.arrived(t_s, umo, _text(parameters)):
            return None
        self._message_id += 1
        data = {"message_id": self._message_id, "user_id": SELF_ID, "nickname": "astrometer"}
        return json.dumps({"status": "ok", "retcode": 0, "data": data, "echo": asked.get("echo")})


@contextmanager
def connected(url: str, sink: Sink) -> Iterator[OneBotClient]:
    """Run a client in a thread of its own, so that the model's streams do not delay the times it takes."""
    client = OneBotClient(url, sink)
    loop = asyncio.new_event_loop()
    task = loop.create_task(client.run())

    def work() -> None:
        try:
            with suppress(asyncio.CancelledError):
                loop.run_until_complete(task)
        finally:
            loop.close()

    thread = threading.Thread(target=work, name="onebot", daemon=True)
    thread.start()
    try:
        yield client
    finally:
        with suppress(RuntimeError):  # the loop is closed: the client ended by an error, which was shown
            loop.call_soon_threadsafe(task.cancel)
        thread.join(5)


async def _later(connection: ClientConnection, answer: str, delay_s: float) -> None:
    await asyncio.sleep(delay_s)
    with suppress(ConnectionClosed):
        await connection.send(answer)


def _connected() -> dict[str, Any]:
    kind = {"post_type": "meta_event", "meta_event_type": "lifecycle", "sub_type": "connect"}
    return {"time": int(time.time()), "self_id": SELF_ID, **kind}


def _umo(action: str, parameters: dict[str, Any]) -> str | None:
    """Whom a sending action is for; None for any other action."""
    if not action.startswith("send_"):
        return None
    if parameters.get("group_id") is not None:
        return f"{PLATFORM}:{GROUP}:{parameters['group_id']}"
    if parameters.get("user_id") is not None:
        return f"{PLATFORM}:{FRIEND}:{parameters['user_id']}"
    return None


def _text(parameters: dict[str, Any]) -> str:
    """The text of a message; anything else in it as `[image]`."""
    message = parameters.get("message", parameters.get("messages"))
    if isinstance(message, str):
        return message
    parts = []
    for segment in message if isinstance(message, list) else []:
        if not isinstance(segment, dict):
            continue
        kind, data = segment.get("type"), segment.get("data")
        text = data.get("text", "") if isinstance(data, dict) else ""
        parts.append(str(text) if kind == "text" else f"[{kind}]")
    return "".join(parts)
