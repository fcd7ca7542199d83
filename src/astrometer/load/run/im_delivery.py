"""Pushes of all processes, and a sink's journal -> what was delivered (`measure.delivery`).

A sink is the far end of an IM push: `astrometer sandbox --im-sink` and `astrometer sim --im-sink` have one
(`sink_url`). Its times are `perf_counter` seconds of its machine, which must be that of the load generators.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from time import perf_counter
from typing import Any

import gevent

from astrometer.api.call_exchange import CallExchange
from astrometer.clock import TOLERANCE_S, same_clock, wall_minus_perf_s
from astrometer.load.transport.load_client import Client, Request
from astrometer.measure.delivery import Arrival, Observed, Push, match, record, token_in
from astrometer.measure.slo.cause_sentences import sentence
from astrometer.measure.slo.validity import Cause, CauseKind
from astrometer.measure.tally.tally import Tally
from astrometer.outside_text import read_json

UMOS = (
    *(f"onebot:FriendMessage:{number}" for number in (11001, 11002, 11003)),
    *(f"onebot:GroupMessage:{number}" for number in (22001, 22002)),
)
PLATFORM = "onebot"
KEPT = 100_000  # pushes of one process
BURST_PAUSE_S = 1.0
GRACE_S = 3.0  # for messages on their way when the last push was answered
POLL_S = 0.1
TIMEOUT_S = 5.0
MAX_PAGE_BYTES = 16 * 1024 * 1024

log = logging.getLogger(__name__)


class SinkError(Exception):
    """The sink cannot be read; the text says why."""


class Tokens:
    """One user's names for its pushes: a pause of a second begins a new burst."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._burst = 0
        self._number = 0
        self._t_last: float | None = None

    def next(self, now_s: float) -> str:
        if self._t_last is None or now_s - self._t_last >= BURST_PAUSE_S:
            self._burst += 1
        self._number += 1
        self._t_last = now_s
        return f"im-{self._prefix}-{self._burst}-{self._number}"

    def ended(self, now_s: float) -> None:
        """A push was answered: the pause begins."""
        self._t_last = now_s


class Sent:
    """The pushes of one process, until they are shipped; on the master those of all."""

    def __init__(self, kept: int = KEPT) -> None:
        self.pushes: list[Push] = []
        self.untracked = 0
        self.clocks: list[float] = []
        self._room = kept

    def follow(self, umo: str) -> bool:
        """Whether the next push to `umo` shall carry a token; what is not followed is counted."""
        if not umo.startswith(f"{PLATFORM}:"):
            return False
        if self._room <= 0:
            self.untracked += 1
            return False
        self._room -= 1
        return True

    def take(self) -> dict[str, Any]:
        """What was sent since the last call, in plain data, and the identity of this process's clock."""
        taken = {"pushes": [push.to_wire() for push in self.pushes], "untracked": self.untracked}
        self.pushes, self.untracked = [], 0
        return {**taken, "clock": wall_minus_perf_s()}

    def merge(self, wire: Mapping[str, Any]) -> None:
        self.pushes += [Push.from_wire(push) for push in wire["pushes"]]
        self.untracked += wire["untracked"]
        if wire["pushes"]:
            self.clocks.append(wire["clock"])


class Watch:
    """One run's look at the sink, from its begin to its end."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._cursor: int | None = None
        self._t_start = perf_counter()

    def begin(self) -> None:
        """Remember what was there before. Raises SinkError."""
        self._cursor = int(self._status()["cursor"])

    def check(self) -> None:
        """Raises SinkError when the sink does not answer or no AstrBot is connected to it."""
        if not self._status()["connected"]:
            raise SinkError(f"{self._url}: no AstrBot is connected to it")

    def conclude(self, sent: Sent) -> Observed:
        """Read what arrived, waiting a moment for what is late, and compare. Raises SinkError."""
        if self._cursor is None:
            raise SinkError(f"{self._url}: did not answer when the run began")
        cursor, forgotten = self._cursor, 0
        arrivals: list[Arrival] = []
        awaited = {push.token for push in sent.pushes if push.accepted}
        give_up = time.monotonic() + GRACE_S
        while True:
            for page in self._pages(cursor):
                forgotten += page["forgotten"]
                cursor = page["cursor"]
                found = [_arrival(message) for message in page["messages"]]
                arrivals += found
                awaited.difference_update(arrival.token for arrival in found if arrival.token)
            if not awaited or time.monotonic() > give_up:
                break
            gevent.sleep(POLL_S)
        return Observed(
            report=match(sent.pushes, arrivals),
            t_start=self._t_start,
            latency_refused=self._clock_trouble(sent.clocks),
            untracked=sent.untracked,
            forgotten=forgotten,
        )

    def _clock_trouble(self, clocks: list[float]) -> str | None:
        sink_s = float(self._status()["clock"]["wall_minus_perf_s"])
        if all(same_clock(sink_s, clock_s) for clock_s in [*clocks, wall_minus_perf_s()]):
            return None
        return (
            "the sink's clock is not that of every load process "
            f"(they differ by more than {TOLERANCE_S * 1e3:.0f} ms): all must run on one machine"
        )

    def _pages(self, cursor: int) -> Iterator[dict[str, Any]]:
        more = True
        while more:
            page = self._get(f"/messages?since={cursor}")
            yield page
            cursor, more = page["cursor"], page["more"]

    def _status(self) -> dict[str, Any]:
        return self._get("")

    def _get(self, path: str) -> dict[str, Any]:
        exchange = CallExchange(timeout_s=TIMEOUT_S, raw=True, max_bytes=MAX_PAGE_BYTES)
        with closing(Client(self._url, lambda _scope: None)) as client:
            client.run(Request(method="GET", path=path, scope=None), exchange)
        told = exchange.result()
        if not told.outcome.is_ok:
            status = f"HTTP {told.status}: " if told.status is not None else ""
            raise SinkError(f"{self._url}: {status}{told.detail or told.outcome.value}")
        try:
            answer = read_json(told.body)
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or "cursor" not in answer:
            raise SinkError(f"{self._url}: is no IM sink of astrometer (its sink_url ends in /onebot)")
        return answer


class ImDelivery:
    """The IM pushes of one run and what was delivered of them; without a sink nothing is known of that."""

    def __init__(self, sink_url: str) -> None:
        self.sent = Sent()
        self.observed: Observed | None = None
        self.causes: list[Cause] = []  # why the delivery was not measured: the run is INVALID
        self._watch = Watch(sink_url) if sink_url else None

    def begin(self) -> None:
        """From here on, what arrives in the sink belongs to this run. Not for workers."""
        if self._watch is not None:
            with self._noting_causes():
                self._watch.begin()

    def conclude(self, tally: Tally) -> None:
        """Compare what was pushed with what arrived, when all processes have reported."""
        if self._watch is not None:
            with self._noting_causes():
                self.observed = self._watch.conclude(self.sent)
                if self.observed.latency_refused is None:
                    record(tally, self.observed.report.matches)

    @contextmanager
    def _noting_causes(self) -> Iterator[None]:
        try:
            yield
        except SinkError as exc:
            cause = Cause(kind=CauseKind.IM_NOT_MEASURED, detail=str(exc))
            log.error("%s", sentence(cause))  # noqa: TRY400 (the reason is in the text)
            if cause not in self.causes:
                self.causes.append(cause)


def _arrival(message: Mapping[str, Any]) -> Arrival:
    return Arrival(umo=message["umo"], token=token_in(message["text"]), t=message["t_s"])
