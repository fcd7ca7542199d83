"""Exchanges that ended in this process -> chunks of whole lines of JSON, handed over twice a second.

Nothing waits for a disk or a network: what cannot be handed over stays here, up to a limit, and what is
beyond it is counted. A worker's chunks go to the master, so that one file holds the rows of all processes,
and the death of a worker costs it half a second.
"""

import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gevent
from gevent import GreenletExit

from astrometer.load.run.run_clock import RunClock
from astrometer.masking import mask
from astrometer.measure.records.exchange_row import Ended, is_scheduled, row_of, sent_at, texts_of
from astrometer.measure.records.row_text import RowText
from astrometer.measure.tally.exchange_stats import ExchangeSamples
from astrometer.measure.tally.windows import Window

EVERY_S = 0.5
MOST_CHARS = 64_000_000  # that wait in one process


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Some whole lines, as they go into the file. `lost`: lines that nobody will ever hand over."""

    data: bytes
    lines: int
    lost: int = 0


class HandOverError(Exception):
    """A chunk was not taken; it is offered again."""


class RecordLog:
    """Of one process. `always`: what every row says of the run. `secrets` are never written."""

    def __init__(
        self,
        clock: RunClock,
        *,
        always: dict[str, Any],
        window: Window,
        secrets: Sequence[str] = (),
        with_text: bool = False,
        compressed: bool = False,
        most_chars: int = MOST_CHARS,
    ) -> None:
        self._clock = clock
        self._always = always
        self._window = window
        self._secrets = tuple(secret for secret in secrets if secret)
        self._with_text = with_text
        self._compressed = compressed
        self._most_chars = most_chars
        self._text = RowText()
        self._lines: list[str] = []
        self._chars = 0
        self._lost = 0
        self._hand_over: Callable[[Chunk], None] | None = None
        self._loop: Any = None

    def note(
        self,
        scenario: str,
        operation: str,
        t_s: float,
        *,
        way: str,
        done: Ended,
        samples: ExchangeSamples,
        user: str,
        turn: int | None,
    ) -> None:
        """An exchange has ended that was intended at `t_s`, since the run's start. `way`: SSE, POST, IM."""
        t_send_s = self._clock.since_start(sent_at(done))
        row = {
            **self._always,
            "scenario": scenario,
            "operation": operation,
            "way": way,
            "user": user,
            "measured": self._window.holds(t_s),
            "at": self._clock.started_at + t_send_s,
            "t_send_s": t_send_s,
        }
        if is_scheduled(done):
            row["t_intended_s"] = t_s
        if turn is not None:
            row["turn"] = turn
        row |= row_of(done, samples)
        if self._with_text:
            # Some are cut, and may end in the middle of a key.
            row |= {name: mask(text, self._secrets) for name, text in texts_of(done).items()}
        line = self._text.line(row)
        if self._chars + len(line) > self._most_chars:
            self._lost += 1
            return
        self._chars += len(line)
        self._lines.append(line)

    def start(self, hand_over: Callable[[Chunk], None]) -> None:
        """`hand_over` raises HandOverError when a chunk was not taken."""
        self._hand_over = hand_over
        self._loop = gevent.spawn(self._run)

    def stop(self) -> None:
        """Nothing more will be noted: hand over the rest."""
        if self._loop is not None:
            self._loop.kill()
            self._loop = None
            self.flush()

    def flush(self) -> None:
        """Hand over what there is."""
        if self._hand_over is None or not (self._lines or self._lost):
            return
        lines, chars, lost = self._lines, self._chars, self._lost
        self._lines, self._chars, self._lost = [], 0, 0
        # The newline of the last line ends the chunk: a chunk is whole lines.
        text = mask("\n".join([*lines, ""]), self._secrets)
        data = text.encode()
        # Each chunk is a member of its own: the file can be read up to its last one, whatever comes.
        packed = gzip.compress(data, 1, mtime=0) if self._compressed and data else data
        try:
            self._hand_over(Chunk(data=packed, lines=len(lines), lost=lost))
        except (HandOverError, GreenletExit) as exc:
            self._lines, self._chars = [*lines, *self._lines], chars + self._chars
            self._lost += lost
            if isinstance(exc, GreenletExit):
                raise

    def _run(self) -> None:
        while True:
            gevent.sleep(EVERY_S)
            self.flush()
