"""Exchanges that ended in this process -> chunks of whole lines of JSON, handed over twice a second.

An exchange that ends is put aside as it is; its line is made with the others of its half second. Made one by
one between other work, lines cost four times as much: the processor's caches hold something else each time.

Nothing waits for a disk or a network: what cannot be handed over stays here, up to a limit, and what is
beyond it is counted. A worker's chunks go to the master, so that one file holds the rows of all processes,
and the death of a worker costs it half a second.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import gevent
from gevent import GreenletExit

from isal import igzip

from astrometer.load.run.run_clock import RunClock
from astrometer.load.turnstile import breathe
from astrometer.masking import mask
from astrometer.measure.records.exchange_row import TEXTS, Ended, facts_of, texts_of
from astrometer.measure.records.row_text import RowText
from astrometer.measure.tally.exchange_stats import ExchangeSamples
from astrometer.measure.tally.windows import Window

EVERY_S = 0.5
AT_ONCE = 100  # lines are made before streams are read again: one or two milliseconds
MOST_ASIDE = 20_000  # exchanges without their line yet
MOST_BYTES = 64_000_000  # that wait in one process


class Chunk(NamedTuple):
    """Some whole lines, as they go into the file. `lost`: lines that nobody will ever hand over."""

    data: bytes
    lines: int
    lost: int = 0


# An exchange that ended: scenario, operation, when it was intended, way, what came of it, user, turn.
# A plain tuple: a named one takes three times as long to make.
_Aside: TypeAlias = tuple[str, str, float, str, Ended, ExchangeSamples, str, int | None]


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
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._clock = clock
        self._window = window
        self._secrets = tuple(secret for secret in secrets if secret)
        self._with_text = with_text
        self._compressed = compressed
        self._most_bytes = most_bytes
        self._text = RowText(always)
        self._aside: list[_Aside] = []
        self._parts: list[bytes] = []  # of the next chunk, whole lines each
        self._bytes = 0
        self._lines = 0
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
        self._aside.append((scenario, operation, t_s, way, done, samples, user, turn))
        if len(self._aside) >= MOST_ASIDE:
            self._make_lines()

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
        if self._hand_over is None:
            return
        for _ in range(0, len(self._aside), AT_ONCE):
            self._make_lines()
            breathe()
        if not (self._lines or self._lost):
            return
        parts, size, lines, lost = self._parts, self._bytes, self._lines, self._lost
        self._parts, self._bytes, self._lines, self._lost = [], 0, 0, 0
        try:
            self._hand_over(Chunk(data=b"".join(parts), lines=lines, lost=lost))
        except (HandOverError, GreenletExit) as exc:
            self._parts = [*parts, *self._parts]
            self._bytes += size
            self._lines += lines
            self._lost += lost
            if isinstance(exc, GreenletExit):
                raise

    def _make_lines(self) -> None:
        """Of some exchanges, the first ones. Nothing else runs meanwhile."""
        some, self._aside = self._aside[:AT_ONCE], self._aside[AT_ONCE:]
        # The newline of the last line ends the part: a part is whole lines.
        text = mask("\n".join([*map(self._line, some), ""]), self._secrets)
        data = text.encode()
        if self._compressed and some:
            # Each part is a member of its own: the file can be read up to its last one, whatever comes.
            # Level 2 takes as long as level 1 and gives less than zlib's 1, which takes three times as long.
            data = igzip.compress(data, 2, mtime=0)
        if self._bytes + len(data) > self._most_bytes:
            self._lost += len(some)
            return
        self._parts.append(data)
        self._bytes += len(data)
        self._lines += len(some)

    def _line(self, aside: _Aside) -> str:
        scenario, operation, t_s, way, done, samples, user, turn = aside
        t_send, scheduled, streamed, names, own = facts_of(done)
        t_send_s = self._clock.since_start(t_send)
        # The outcome itself, for its name takes longer than the rest of this tuple.
        kind = (scenario, operation, way, self._window.holds(t_s), done.outcome, streamed)
        at, t_intended_s = self._clock.started_at + t_send_s, t_s if scheduled else None
        values = [user, turn, at, t_send_s, t_intended_s, *own]
        if self._with_text:
            names += TEXTS
            # Some are cut, and may end in the middle of a key.
            values += [mask(text, self._secrets) if text else None for text in texts_of(done)]
        return self._text.line(kind, names, values, samples)

    def _run(self) -> None:
        while True:
            gevent.sleep(EVERY_S)
            self.flush()
