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

from astrometer.im.link.link_address import LinkAddress
from astrometer.im.link.onebot_link import LinkState, OneBotLink
from astrometer.targets.messenger.sink import FRIEND, GROUP, PLATFORM, Sink

SELF_ID = 10001
RETRY_S = 0.2
OPEN_TIMEOUT_S = 5.0
LONGEST_MESSAGE = 64 * 1024 * 1024  # a pushed image comes as base64


class OneBotClient:
    """One messenger account, as long as `run` runs."""

    def __init__(self, url: str, sink: Sink) -> None:
        """Raises LinkAddressError."""
        self.sink = sink
        self._address = LinkAddress.parse(url, self_id=SELF_ID)
        self._message_id = 0

    async def run(self) -> None:
        """Stay connected until cancelled."""
        while True:
            # AstrBot is not there yet, or is gone: both are normal here.
            with suppress(OSError):
                async with asyncio.timeout(OPEN_TIMEOUT_S) as opening:
                    reader, writer = await asyncio.open_connection(self._address.host, self._address.port)
                    try:
                        await self._serve(reader, writer, opening)
                    finally:
                        self.sink.connected = False
                        writer.close()
            await asyncio.sleep(RETRY_S)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, opening: asyncio.Timeout
    ) -> None:
        link = OneBotLink(self._address, most_chars=LONGEST_MESSAGE)
        link.open()
        late: set[asyncio.Task[None]] = set()
        try:
            while link.end is None:
                await _flush(link, writer)
                data = await reader.read(65536)
                t_s = perf_counter()
                if not data:
                    return
                frames = link.feed(t_s, data)
                if link.state is LinkState.OPEN and not self.sink.connected:
                    opening.reschedule(None)
                    link.send(json.dumps(_connected()))
                    self.sink.connected = True
                for frame in frames:
                    answer = self._act(t_s, frame.text)
                    if answer is None:
                        continue
                    if self.sink.faults.delay_ack_s:
                        task = asyncio.create_task(_later(link, writer, answer, self.sink.faults.delay_ack_s))
                        late.add(task)
                        task.add_done_callback(late.discard)
                    else:
                        link.send(answer)
            await _flush(link, writer)
        finally:
            for task in late:
                task.cancel()
            link.close(perf_counter())
            writer.write(link.take())

    def _act(self, t_s: float, frame: str) -> str | None:
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


async def _later(link: OneBotLink, writer: asyncio.StreamWriter, answer: str, delay_s: float) -> None:
    await asyncio.sleep(delay_s)
    link.send(answer)
    with suppress(OSError):  # AstrBot is gone
        await _flush(link, writer)


async def _flush(link: OneBotLink, writer: asyncio.StreamWriter) -> None:
    """Raises OSError."""
    writer.write(link.take())
    await writer.drain()


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
