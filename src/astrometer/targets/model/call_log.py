"""Requests as they arrive and end -> a bounded list and exact counts."""

from collections import Counter, deque
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from astrometer.targets.model.completions import Prompt
from astrometer.targets.script import ModelScript

KEPT = 10_000
LONGEST_PROMPT = 2_000


class CallEnd(StrEnum):
    FINISHED = "finished"
    ABORTED = "aborted"  # the client left first
    FAILED = "failed"  # an error status, or a fault in a reply that was sent whole
    DROPPED = "dropped"  # cut by the stub
    STALLED = "stalled"  # fell silent, until the client left


@dataclass(slots=True, kw_only=True)
class ModelCall:
    """One request. Times are `perf_counter` seconds of the machine; None when it has not happened."""

    number: int
    time: float
    prompt: str
    model: str
    streaming: bool
    title: bool
    script: dict[str, Any]
    status: int | None = None
    first_token_time: float | None = None
    last_token_time: float | None = None
    tokens_sent: int = 0
    end: CallEnd | None = None
    end_time: float | None = None

    def token(self, now_s: float, count: int = 1) -> None:
        if self.first_token_time is None:
            self.first_token_time = now_s
        self.last_token_time = now_s
        self.tokens_sent += count


class CallLog:
    """The last `kept` requests, and counts of all of them."""

    def __init__(self, kept: int = KEPT) -> None:
        self._entries: deque[ModelCall] = deque(maxlen=kept)
        self._received = 0
        self._ends: Counter[CallEnd] = Counter()
        self._titles = 0
        self._in_flight = 0
        self._numbers = 0
        self._rejected = 0

    def received(self, now_s: float, prompt: Prompt, script: ModelScript) -> ModelCall:
        """Begin an entry. Title requests are listed, but counted apart."""
        self._numbers += 1
        entry = ModelCall(
            number=self._numbers,
            time=now_s,
            prompt=prompt.text[-LONGEST_PROMPT:],
            model=prompt.model,
            streaming=prompt.streaming,
            title=prompt.is_title,
            script=asdict(script),
        )
        self._entries.append(entry)
        self._in_flight += 1
        if prompt.is_title:
            self._titles += 1
        else:
            self._received += 1
        return entry

    def rejected(self) -> None:
        """A request that could not be read, or whose directive is malformed: counted, not listed."""
        self._rejected += 1

    def ended(self, entry: ModelCall, end: CallEnd, now_s: float) -> None:
        entry.end = end
        entry.end_time = now_s
        self._in_flight -= 1
        if not entry.title:
            self._ends[end] += 1

    def requests(self) -> list[dict[str, Any]]:
        return [asdict(entry) for entry in self._entries]

    def stats(self) -> dict[str, int]:
        """`received` is the sum of the five ends and of what still runs; titles and rejected are apart."""
        ends = {end.value: self._ends[end] for end in CallEnd}
        return {
            "received": self._received,
            **ends,
            "titles": self._titles,
            "rejected": self._rejected,
            "in_flight": self._in_flight,
        }

    def clear(self) -> None:
        """Forget what has ended; running requests stay in flight and are counted when they end."""
        running = [entry for entry in self._entries if entry.end is None]
        self._entries.clear()
        self._entries.extend(running)
        self._ends.clear()
        self._rejected = 0
        self._received = sum(not entry.title for entry in running)
        self._titles = sum(entry.title for entry in running)
