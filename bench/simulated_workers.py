"""Simulated workers for one real Locust master: its protocol, and reports as real workers make them.

    python bench/simulated_workers.py --port 5557 --workers 200 --seconds 30

Started by `master.py`. Lays out what the users of ten workers would measure, and puts it through the recorder
and `process_report.take` of a real run, report by report: ten histories. Each simulated worker sends one of
them, every 3 s, at its own moment. They load nothing, so that hundreds of them fit into one process. Prints a
line of JSON at the end.
"""

import heapq
import json
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import gevent
import locust
from locust import argument_parser
from locust.env import Environment
from locust.event import Events
from locust.rpc import Message
from locust.runners import HEARTBEAT_INTERVAL, WORKER_REPORT_INTERVAL
from locust.stats import setup_distributed_stats_event_listeners

from programs import bench_parser
from zmq import green as zmq

from astrometer.api.call_exchange import CallResult, UploadTimes
from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.chat.events import AgentStats
from astrometer.api.outcome import Outcome
from astrometer.api.timings import Timings
from astrometer.load import generator_limits
from astrometer.load.locust_plugin import plugin  # noqa: F401 (its arguments)
from astrometer.load.locust_plugin.distributed import DRAIN, PART
from astrometer.load.options import Settings
from astrometer.load.run import process_report
from astrometer.load.run.run import RUN_ID_OPTION, Run

HISTORIES = 10  # different ones; merged they fill as many buckets as hundreds would
WARMUP_S = 5.0
FAILED_SHARE = 0.005
SAMPLES_PER_S = 100  # of the event-loop lag
# Scenario, operation, Locust's type, calls a second by each chat a second, median duration.
CALLS = (
    ("uploads", "upload", "POST", 0.3, 0.15),
    ("uploads", "download", "GET", 0.1, 0.05),
    ("im", "im", "POST", 0.3, 0.03),
    ("reads", "sessions", "GET", 0.6, 0.02),
    ("reads", "configs", "GET", 0.3, 0.01),
    ("reads", "bots", "GET", 0.3, 0.01),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the users of one worker do: so many chats under way at any time, each so many events long."""

    streams: int
    events: int  # median of an answer
    gap_s: float = 0.04  # median
    ttft_s: float = 0.8  # median


@dataclass(slots=True)
class History:
    """What one worker reports, from its first users on. In the last one everything has ended."""

    phase_s: float  # of its first report
    reports: list[dict[str, Any]] = field(default_factory=list)


def make_histories(shape: Shape, seconds: float) -> list[History]:
    return [
        _history(shape, seconds, number * WORKER_REPORT_INTERVAL / HISTORIES, random.Random(number))
        for number in range(HISTORIES)
    ]


def _history(shape: Shape, seconds: float, phase_s: float, chance: random.Random) -> History:
    parsed = argument_parser.get_parser().parse_args(["--warmup", f"{WARMUP_S:g}s"])
    setattr(parsed, RUN_ID_OPTION, "")
    environment = Environment(events=Events(), parsed_options=parsed)
    environment.create_local_runner()
    setup_distributed_stats_event_listeners(environment.events, environment.stats)
    run = Run(environment, Settings.of(parsed), {})
    history, due_s = History(phase_s), phase_s
    ends: list[tuple[float, int, Callable[[], None]]] = []
    for number, one in enumerate(_begun(shape, seconds, chance)):
        while min(due_s, ends[0][0] if ends else due_s) <= one.t_s:
            if ends and ends[0][0] <= due_s:
                heapq.heappop(ends)[2]()
            else:
                history.reports.append(_report(run, environment, chance))
                due_s += WORKER_REPORT_INTERVAL
        run.tally.started(one.scenario, one.operation, one.t_s)
        facts = (one.scenario, one.operation, one.t_s, one.kind, one.done)
        end: Callable[[], None] = partial(run.recorder.ended, *facts, user="simulated")
        heapq.heappush(ends, (one.t_end, number, end))
    for _, _, end in ends:
        end()
    history.reports.append(_report(run, environment, chance))
    return history


class Begun(NamedTuple):
    """An exchange, and how it will have ended. `kind`: Locust's request type."""

    t_s: float
    t_end: float
    scenario: str
    operation: str
    kind: str
    done: ChatTurn | CallResult


def _begun(shape: Shape, seconds: float, chance: random.Random) -> list[Begun]:
    """Every exchange, by its begin."""
    made: list[Begun] = []
    for _ in range(shape.streams):  # each asks on as soon as it has its answer
        t_s = chance.uniform(0.0, 1.0)
        while t_s < seconds:
            turn = _turn(t_s, shape, chance)
            t_close = turn.timings.t_close
            assert t_close is not None
            made.append(Begun(t_s, t_close, "chat", "chat", "SSE", turn))
            t_s = t_close
    chats_per_s = len(made) / seconds
    for scenario, operation, kind, share, median_s in CALLS:
        t_s = 0.0
        while (t_s := t_s + chance.expovariate(chats_per_s * share)) < seconds:
            duration_s = _around(median_s, chance)
            upload = (
                UploadTimes(file_bytes=200_000, transfer_s=duration_s, accept_s=duration_s / 3)
                if operation == "upload"
                else None
            )
            done = CallResult(
                outcome=_outcome(chance),
                duration_s=duration_s,
                t_send=t_s,
                bytes_received=500,
                upload=upload,
            )
            made.append(Begun(t_s, t_s + duration_s, scenario, operation, kind, done))
    return sorted(made, key=lambda begun: begun.t_s)


def _turn(t_s: float, shape: Shape, chance: random.Random) -> ChatTurn:
    gaps = tuple(_around(shape.gap_s, chance) for _ in range(round(_around(shape.events, chance))))
    ttft_s = _around(shape.ttft_s, chance)
    token1, last = t_s + ttft_s, t_s + ttft_s + sum(gaps)
    terminal = last + _around(0.01, chance)
    event1 = t_s + _around(0.02, chance)
    counted = AgentStats(input_tokens=400, output_tokens=len(gaps) + 1, server_ttft_s=ttft_s - 0.02)
    return ChatTurn(
        outcome=_outcome(chance),
        timings=Timings(
            t_intended=t_s,
            t_send=t_s,
            t_headers=event1,
            t_event1=event1,
            t_run_started=event1 + _around(0.005, chance),
            t_token1=token1,
            t_text1=token1,
            t_tokenN=last,
            t_terminal=terminal,
            t_close=terminal,
            chunk_gaps_s=gaps,
            server_ttft_s=counted.server_ttft_s,
            output_tokens=counted.output_tokens,
            streamed=True,
        ),
        stats=counted,
        bytes_received=100 * len(gaps),
    )


def _around(median: float, chance: random.Random) -> float:
    return chance.lognormvariate(0.0, 0.5) * median


def _outcome(chance: random.Random) -> Outcome:
    return Outcome.SERVER_ERROR if chance.random() < FAILED_SHARE else Outcome.OK


def _report(run: Run, environment: Any, chance: random.Random) -> dict[str, Any]:
    for _ in range(round(SAMPLES_PER_S * WORKER_REPORT_INTERVAL)):
        run.health.lag.record(_around(0.0005, chance))
    data: dict[str, Any] = {}
    environment.events.report_to_master.fire(client_id="", data=data)
    return {**data, PART: process_report.take(run)}


class SimulatedWorker:
    """One connection to the master. `sent`: sizes of its reports, in bytes."""

    def __init__(self, context: Any, number: int, port: int, history: History) -> None:
        self.name = f"simulated_{number:04}_{random.randbytes(8).hex()}"
        self._history = history
        self._phase_s = history.phase_s + random.uniform(0.0, WORKER_REPORT_INTERVAL / HISTORIES)
        self._socket = context.socket(zmq.DEALER)  # Locust's own client has threads of its own
        self._socket.setsockopt(zmq.IDENTITY, self.name.encode())
        self._socket.connect(f"tcp://127.0.0.1:{port}")
        self._state = "ready"
        self._users: dict[str, int] = {}
        self._run_id: str | None = None
        self._sequence = 0
        self._reporting: Any = None
        self.sent: list[int] = []
        self.exchanges = 0  # that the reports say have begun

    def live(self, beats_at_s: float) -> None:
        """Until the master says that it is over."""
        self._send("client_ready", locust.__version__)
        beating = gevent.spawn_later(beats_at_s, self._beat)
        while (message := Message.unserialize(self._socket.recv())).type != "quit":
            if message.type == "spawn":
                self._spawn(message.data)
            elif message.type == DRAIN:
                self._reporting.kill()
                for report in self._history.reports[self._sequence :]:
                    self._report(final=report is self._history.reports[-1])
        beating.kill()
        self._socket.close(linger=1000)

    def _spawn(self, job: dict[str, Any]) -> None:
        self._send("spawning", None)
        self._users, self._state = job["user_classes_count"], "running"
        users = {"user_classes_count": self._users, "user_count": sum(self._users.values())}
        self._send("spawning_complete", users)
        if self._run_id is None:
            self._run_id = job["parsed_options"][RUN_ID_OPTION]
            self._reporting = gevent.spawn(self._report_for_ever, time.perf_counter())

    def _report_for_ever(self, began: float) -> None:
        while self._sequence < len(self._history.reports) - 1:
            due = began + self._phase_s + self._sequence * WORKER_REPORT_INTERVAL
            gevent.sleep(max(0.0, due - time.perf_counter()))
            self._report(final=False)

    def _report(self, *, final: bool) -> None:
        report = self._history.reports[self._sequence]
        self._sequence += 1
        part = {**report[PART], "run": self._run_id, "sequence": self._sequence, "final": final}
        users = {"user_classes_count": self._users, "user_count": sum(self._users.values())}
        sent = {"t_sent": time.perf_counter(), "final": final}
        self.sent.append(self._send("stats", {**report, **users, PART: part, "bench": sent}))
        self.exchanges += sum(
            stats["started"] for _, stats in (*part["tally"]["books"][0], *part["tally"]["books"][1])
        )

    def _beat(self) -> None:
        while True:
            usage = {"state": self._state, "current_cpu_usage": 50, "current_memory_usage": 100_000_000}
            self._send("heartbeat", usage)
            gevent.sleep(HEARTBEAT_INTERVAL)

    def _send(self, kind: str, data: Any) -> int:
        raw = Message(kind, data, self.name).serialize()
        self._socket.send(raw)
        return len(raw)


def main() -> None:
    parser = bench_parser(__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True, help="for which something begins")
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--events", type=int, default=150)
    options = parser.parse_args()
    shape = Shape(streams=options.streams, events=options.events)
    histories = make_histories(shape, options.seconds)
    generator_limits.raise_open_files()
    context = zmq.Context()
    context.set(zmq.MAX_SOCKETS, max(1023, 2 * options.workers))
    workers = [
        SimulatedWorker(context, number, options.port, histories[number % HISTORIES])
        for number in range(options.workers)
    ]
    gevent.joinall(
        [
            gevent.spawn(worker.live, number / len(workers) * HEARTBEAT_INTERVAL)
            for number, worker in enumerate(workers)
        ],
        raise_error=True,
    )
    sizes = [size for worker in workers for size in worker.sent]
    told = {
        "reports": len(sizes),
        "report_bytes": {"p50": statistics.median(sizes), "max": max(sizes), "sum": sum(sizes)},
        "exchanges": sum(worker.exchanges for worker in workers),
        "cpu_s": time.process_time(),
    }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
