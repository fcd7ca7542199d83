"""A OneBot adapter that answers every question after the same time, and notes its own stamps. No AstrBot.

    python bench/golden_adapter.py --delay 0.4 --stamps stamps.json

Prints its address. On SIGTERM it writes for each question, by its id: when its bytes came, and when the
answer's left (`perf_counter`, one clock for all processes of a Linux machine); and how many acknowledgements
came in all.
"""

import asyncio
import json
import signal
from pathlib import Path
from time import perf_counter
from typing import Any

from programs import bench_parser
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Ping, Request, TextMessage


class GoldenAdapter(asyncio.Protocol):
    """One client's connection."""

    def __init__(
        self, delay_s: float, stamps: dict[int, tuple[float, float]], acknowledged: list[int]
    ) -> None:
        self._delay_s = delay_s
        self._stamps = stamps
        self._acknowledged = acknowledged
        self._ws = WSConnection(ConnectionType.SERVER)
        self._transport: asyncio.Transport | None = None
        self._text = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        t_came = perf_counter()
        self._ws.receive_data(data)
        for event in self._ws.events():
            if isinstance(event, Request):
                self._write(self._ws.send(AcceptConnection()))
            elif isinstance(event, TextMessage):
                self._text += event.data  # a message may end in a later read
                if event.message_finished:
                    text, self._text = self._text, ""
                    self._heard(json.loads(text), t_came)
            elif isinstance(event, Ping | CloseConnection):
                self._write(self._ws.send(event.response()))

    def _heard(self, frame: dict[str, Any], t_came: float) -> None:
        if frame.get("post_type") == "message":
            due = asyncio.get_running_loop().time() + self._delay_s
            asyncio.get_running_loop().call_at(due, self._answer, frame, t_came)
        elif "echo" in frame:
            self._acknowledged[0] += 1

    def _answer(self, question: dict[str, Any], t_came: float) -> None:
        number = question["message_id"]
        quote = {"type": "reply", "data": {"id": str(number)}}
        message = [quote, {"type": "text", "data": {"text": "fine, thank you"}}]
        if question["message_type"] == "group":
            action, whom = "send_group_msg", {"group_id": question["group_id"]}
        else:
            action, whom = "send_private_msg", {"user_id": question["sender"]["user_id"]}
        body = {"action": action, "params": {**whom, "message": message}, "echo": {"seq": number}}
        data = self._ws.send(TextMessage(data=json.dumps(body)))
        self._stamps[number] = (t_came, perf_counter())
        self._write(data)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


async def serve(delay_s: float) -> str:
    """Until SIGTERM; returns what was noted, as JSON."""
    stamps: dict[int, tuple[float, float]] = {}
    acknowledged = [0]
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    server = await loop.create_server(lambda: GoldenAdapter(delay_s, stamps, acknowledged), "127.0.0.1", 0)
    print(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws", flush=True)
    await ended.wait()
    return json.dumps({"stamps": stamps, "acknowledged": acknowledged[0]})


def main() -> None:
    parser = bench_parser(__doc__)
    parser.add_argument("--delay", type=float, default=0.4, help="seconds from question to answer")
    parser.add_argument("--stamps", type=Path, required=True, help="file for what it noted")
    options = parser.parse_args()
    options.stamps.write_text(asyncio.run(serve(options.delay)))


if __name__ == "__main__":
    main()
