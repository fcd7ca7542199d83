"""Messages that an instant messenger was given -> a bounded journal, read by cursor. Faults for tests.

The far end of an IM push: what is written here has arrived. Served under `/onebot` by the stub model of a
sandbox (fed by `onebot.py`) and by the simulator (fed by itself); no key.

    GET    /onebot                       status: cursor, connected, clock, counts
    GET    /onebot/messages?since=N      the messages after cursor N, oldest first, a page at a time
    DELETE /onebot/messages              forget them; cursors stay valid
    POST   /onebot/faults                {"lose_every": 5, "duplicate_every": 0, "drop_ack_every": 0,
                                          "delay_ack_s": 0, "delivery_delay_s": 0}: replaces all faults
"""

import threading
from collections import deque
from dataclasses import asdict, dataclass, fields
from itertools import islice
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from astrometer.clock import wall_minus_perf_s

PLATFORM = "onebot"
FRIEND, GROUP = "FriendMessage", "GroupMessage"
KEPT = 200_000
PAGE = 5_000
LONGEST_TEXT = 120  # a token stands at its beginning; a full journal takes some 60 MB


class SinkFaultError(ValueError):
    """Faults that cannot be set; the text names the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkFaults:
    """What goes wrong on purpose. `*_every` N strikes each Nth message, 0 none."""

    lose_every: int = 0  # acknowledged, yet not written into the journal
    duplicate_every: int = 0  # written twice
    drop_ack_every: int = 0  # written, never acknowledged
    delay_ack_s: float = 0.0
    delivery_delay_s: float = 0.0  # before it is written; only the simulator can do that

    @classmethod
    def parse(cls, given: Any) -> "SinkFaults":
        """Raises SinkFaultError."""
        known = {field.name: field.type for field in fields(cls)}
        if not isinstance(given, dict) or set(given) - set(known):
            raise SinkFaultError(f"an object expected, with any of: {', '.join(known)}")
        for name, value in given.items():
            whole = known[name] is int
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or value < 0:
                raise SinkFaultError(f"{name}: a {'whole number' if whole else 'number'} from 0 expected")
        return cls(**given)


@dataclass(frozen=True, slots=True)
class Arrived:
    """One message as it came: when (`perf_counter` seconds), for whom, and the beginning of its text."""

    number: int
    t_s: float
    umo: str
    text: str


class Sink:
    """The journal. One thread may write while others read."""

    def __init__(self, kept: int = KEPT) -> None:
        self._lock = threading.Lock()
        self._messages: deque[Arrived] = deque(maxlen=kept)
        self._number = 0
        self._arrived = 0
        self._actions = 0
        self.faults = SinkFaults()
        self.connected = False

    def set_faults(self, faults: SinkFaults) -> None:
        """Replace the faults; every Nth is counted from here."""
        with self._lock:
            self.faults = faults
            self._arrived = 0

    def action(self) -> None:
        """Count something that the messenger was asked to do, whatever it was."""
        self._actions += 1

    def arrived(self, t_s: float, umo: str, text: str) -> bool:
        """Write a message down; returns whether it is to be acknowledged."""
        with self._lock:
            self._arrived += 1
            times = 0 if self._strikes(self.faults.lose_every) else 1
            times += self._strikes(self.faults.duplicate_every)
            for _ in range(times):
                self._number += 1
                self._messages.append(Arrived(self._number, t_s, umo, text[:LONGEST_TEXT]))
            return not self._strikes(self.faults.drop_ack_every)

    def _strikes(self, every: int) -> bool:
        return every > 0 and self._arrived % every == 0

    def status(self) -> dict[str, Any]:
        """`clock` identifies the clock of the times (`astrometer.clock`)."""
        return {
            "platform": PLATFORM,
            "cursor": self._number,
            "connected": self.connected,
            "actions": self._actions,
            "kept": len(self._messages),
            "clock": {"wall_minus_perf_s": wall_minus_perf_s()},
            "faults": asdict(self.faults),
        }

    def since(self, cursor: int, limit: int = PAGE) -> dict[str, Any]:
        """The page after `cursor`. `forgotten`: messages after it that are no longer held."""
        with self._lock:
            last = self._number
            kept = len(self._messages)
            first = self._messages[0].number if kept else last + 1
            begin = max(cursor + 1, first) - first  # numbers in the journal have no gaps
            page = list(islice(self._messages, begin, begin + limit))
        return {
            "cursor": page[-1].number if page else max(last, 0),
            "more": begin + limit < kept,
            "forgotten": max(0, min(first - 1, last) - cursor),
            "connected": self.connected,
            "messages": [asdict(message) for message in page],
        }

    def clear(self) -> None:
        with self._lock:
            self._messages.clear()


async def answer_sink(request: Request, sink: Sink) -> Response:
    match request.method, request.url.path.rstrip("/"):
        case "GET", "/onebot":
            return JSONResponse(sink.status())
        case "GET", "/onebot/messages":
            since = request.query_params.get("since", "0")
            if not since.isdecimal():
                return JSONResponse({"error": "since: a cursor expected, a whole number"}, 400)
            return JSONResponse(sink.since(int(since)))
        case "DELETE", "/onebot/messages":
            sink.clear()
            return JSONResponse(sink.status())
        case "POST", "/onebot/faults":
            try:
                sink.set_faults(SinkFaults.parse(await request.json()))
            except ValueError as exc:
                return JSONResponse({"error": f"faults: {exc}"}, 400)
            return JSONResponse(sink.status())
    return JSONResponse({"error": f"{request.method} {request.url.path} is not served here"}, 404)
