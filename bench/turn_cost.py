"""What a chat costs a load process, in user-space instructions: an event of its answer, and its end.

    python bench/turn_cost.py [--turns 100]

Needs valgrind. Counted is the whole load path without Locust, from the loop that finds a socket readable to
the tally. The server sends from the same process, whenever the loop has nothing else to do; that is counted,
too. An event costs what a longer answer costs more. The end of a turn is `result` of its exchange and all
counting. Of its reads so many percent hold two events ("merged"), or one that something else came after
("uncertain"). Compare two states of the code with PYTHONPATH.
"""

import argparse
import gc
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gevent import get_hub, joinall, socket, spawn

from programs import bench_parser

from astrometer.api.chat.chat_exchange import DEADLINES, ChatExchange
from astrometer.load.run.recorder import Recorder
from astrometer.load.run.run_clock import RunClock
from astrometer.load.transport import loop_turns
from astrometer.load.transport.load_client import Client, Request
from astrometer.measure.tally.tally import Tally

BEGIN = (
    b'data: {"type": "session_id", "data": null, "session_id": "8a6e0804-2bd0-4672-b79d-d97027f9071a"}\n\n'
)
TOKEN = b'data: {"type": "plain", "data": "so much ", "streaming": true, "chain_type": null}\n\n'
STATS = (
    b'data: {"type": "agent_stats", "data": {"token_usage": {"input_other": 11, "output": 40},'
    b' "start_time": 1.0, "end_time": 1.9, "time_to_first_token": 0.001}}\n\n'
)
END = b'data: {"type": "end", "data": "", "streaming": false}\n\n'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
REQUEST = Request(method="POST", path="/api/v1/chat", scope=None, body=b"{}")
MARK = os.getppid  # where valgrind writes what was counted since the last one
SLOWER = 50  # is a process that valgrind counts
STEP_S = 0.02
SHORT, LONG = 20, 60  # events of an answer
STREAMS = 1, 20  # at once
# Events of an answer, the share of its reads that came late, and what they found.
ENDS = (40, 0.03, "merged"), (40, 0.3, "merged"), (200, 0.01, "uncertain")


class Server:
    """Answers each of its streams with so many events: the same one to all, whenever the loop is idle."""

    def __init__(self, events: int, streams: int) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(streams)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        parts = [BEGIN, *[TOKEN] * events, STATS, END]
        chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in parts]
        self._answer = [HEAD + chunks[0], *chunks[1:], b"0\r\n\r\n"]
        self._streams = streams
        self._asked: list[Any] = []
        self._left: list[bytes] = []
        self._idle = get_hub().loop.idle(ref=False)
        spawn(self._accept)

    def _accept(self) -> None:
        for _ in range(self._streams):
            spawn(self._hear, self._listener.accept()[0])

    def _hear(self, connection: Any) -> None:
        while connection.recv(65536):
            self._asked.append(connection)
            if len(self._asked) == self._streams:
                self._left = self._answer[::-1]
                self._idle.start(self._send)

    def _send(self) -> None:
        data, asked = self._left.pop(), self._asked
        if not self._left:
            self._idle.stop()
            self._asked = []
        for connection in asked:
            connection._sock.send(data)  # noqa: SLF001 (gevent's own looks whether it has to wait)


def new_recorder() -> Recorder:
    """Nothing of Locust's behind it."""
    stats = SimpleNamespace(entries=defaultdict(lambda: SimpleNamespace(log=lambda *_: None)))
    events = SimpleNamespace(request=SimpleNamespace(fire=lambda **_: None))
    return Recorder(SimpleNamespace(stats=stats, events=events), Tally(), RunClock())


def count(recorder: Recorder, exchange: ChatExchange, t_s: float) -> None:
    recorder.ended("chat", "chat", t_s, "SSE", exchange.result(), user="user")


def whole_turns(turns: int, events: int, streams: int) -> Callable[[], None]:
    """So many turns on each of the connections."""
    server, recorder = Server(events, streams), new_recorder()
    clients = [Client(server.url, lambda _scope: None) for _ in range(streams)]

    def user(client: Client) -> None:
        for _ in range(turns):
            exchange = ChatExchange(streaming=True, deadlines=DEADLINES)
            t_s = recorder.began("chat", "chat")
            client.run(REQUEST, exchange)
            count(recorder, exchange, t_s)

    def work() -> None:
        joinall([spawn(user, client) for client in clients], raise_error=True)

    return work


def ends(turns: int, events: int, share: float, late: str) -> Callable[[], None]:
    recorder = new_recorder()
    exchanges = [fed(events, share, late) for _ in range(turns)]

    def work() -> None:
        for exchange in exchanges:
            count(recorder, exchange, recorder.began("chat", "chat"))

    return work


def fed(events: int, share: float, late: str) -> ChatExchange:
    """A chat that is over."""
    exchange, t = ChatExchange(streaming=True, deadlines=DEADLINES), STEP_S
    exchange.sent(0.0)
    exchange.headers(t, 200, "text/event-stream")
    exchange.feed(t, BEGIN)
    every, came, read = round(1 / share), 0, 0
    while came < events:
        is_late = read % every == every // 2
        held = 2 if is_late and late == "merged" else 1
        t += STEP_S * held + 1e-5 * (read % 7)
        since = t - STEP_S if is_late else None
        exchange.feed(t, TOKEN * held, since, is_last=not is_late or late == "merged")
        came, read = came + held, read + 1
    exchange.feed(t + STEP_S, STATS + END)
    exchange.eof(t + STEP_S)
    return exchange


def instructions(work: Callable[[], None], out: Path) -> int:
    """Of `work`, when it is done for the second time."""
    work()
    MARK()
    work()
    MARK()
    newest = max(out.parent.iterdir(), key=lambda file: file.stat().st_mtime_ns)
    return int(re.findall(r"^totals: (\d+)", newest.read_text(), re.MULTILINE)[-1])


def measure(turns: int, out: Path) -> None:
    loop_turns._SAMPLE_S *= SLOWER  # noqa: SLF001 (it would look at each turn of the loop)
    loop_turns._SLEPT_S *= SLOWER  # noqa: SLF001
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # as a load process has it
    print("| | thousand instructions |\n|---|--:|")
    for streams in STREAMS:
        each = max(1, turns // streams)
        short, long = (instructions(whole_turns(each, events, streams), out) for events in (SHORT, LONG))
        event = (long - short) / (each * streams * (LONG - SHORT))
        print(f"| an event, {streams} in a turn of the loop | {event / 1e3:.1f} |", flush=True)
    for events, share, late in ENDS:
        end = instructions(ends(turns, events, share, late), out) / turns
        print(f"| the end of a turn of {events} events, {share:.0%} {late} | {end / 1e3:.0f} |", flush=True)


if __name__ == "__main__":
    parser = bench_parser(__doc__)
    parser.add_argument("--turns", type=int, default=100)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.out is not None:
        measure(chosen.turns, chosen.out)
        sys.exit()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "callgrind")
        valgrind = [
            "valgrind",
            "-q",
            "--tool=callgrind",
            "--dump-before=getppid",
            f"--callgrind-out-file={out}",
        ]
        again = [sys.executable, __file__, "--turns", str(chosen.turns), "--out", str(out)]
        same = os.environ | {"PYTHONHASHSEED": "0"}
        sys.exit(subprocess.run([*valgrind, *again], check=False, env=same).returncode)
