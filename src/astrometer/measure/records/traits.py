"""A record, among all records of its operation -> its traits: what it may share with others. Pure."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from typing import Any

from astrometer.measure.records.in_common import Trait
from astrometer.measure.records.phases import ExchangePhase, Part

PERIODS = 10  # parts of the run, for the time of an exchange
MOST_TURNS = 5  # turns that are told apart
MUCH = 0.25  # of the median exchange: a phase that is longer than usual by more than this
_NAMED = {
    "scenario": "scenario", "version": "AstrBot", "run": "run", "process": "load process", "way": "way",
    "user": "user", "group_id": "group", "outcome": "outcome", "status": "HTTP status", "bug": "bug",
}  # fmt: skip
_SIZES = {
    "input_tokens": "input tokens", "output_tokens": "output tokens", "file_bytes": "file size",
    "answer_chars": "answer length",
}  # fmt: skip


class Crowd:
    """All records of one operation that are compared: what a trait of one of them is told by."""

    def __init__(self) -> None:
        self.n = 0
        self.starts_s = array("d")
        self._ends_s = array("d")
        self._sizes = {name: array("d") for name in _SIZES}
        self._parts = {phase: array("d") for phase in ExchangePhase}
        self._medians_s: dict[ExchangePhase, float] = {}
        self._took_s = array("d")
        self._median_s = 0.0
        self._large: dict[str, float] = {}
        self._crowded = 0

    def add(self, row: Mapping[str, Any], took_s: float, parts: list[Part]) -> None:
        self.n += 1
        self._took_s.append(took_s)
        self.starts_s.append(row["t_send_s"])
        self._ends_s.append(row["t_send_s"] + took_s)
        for name, values in self._sizes.items():
            if name in row:
                values.append(row[name])
        for part in parts:
            self._parts[part.phase].append(part.length_s)

    def complete(self) -> None:
        self.starts_s = array("d", sorted(self.starts_s))
        self._ends_s = array("d", sorted(self._ends_s))
        self._median_s = sorted(self._took_s)[self.n // 2]
        for phase, lengths in self._parts.items():
            absent = self.n - len(lengths)  # it took no time in these
            place = self.n // 2
            self._medians_s[phase] = 0.0 if place < absent else sorted(lengths)[place - absent]
        for name, values in self._sizes.items():
            ordered = sorted(values)
            if ordered and ordered[0] < ordered[-1]:
                self._large[name] = ordered[3 * len(ordered) // 4]
        at_once = sorted(self._at_once(t_s) for t_s in self.starts_s)
        self._crowded = at_once[3 * len(at_once) // 4] if at_once and at_once[0] < at_once[-1] else 0

    def went_in(self, parts: list[Part]) -> ExchangePhase | None:
        """The phase that took longer than usual, most of all; None when none did by much."""
        excess = ((part.length_s - self._medians_s[part.phase], part.phase) for part in parts)
        most_s, phase = max(excess, key=lambda pair: pair[0], default=(0.0, None))
        return phase if most_s > MUCH * self._median_s else None

    def traits_of(self, row: Mapping[str, Any], parts: list[Part]) -> list[Trait]:
        found = [(words, str(row[name])) for name, words in _NAMED.items() if name in row]
        found += [
            (words, f"{self._large[name]:,.0f} or more, the top quarter")
            for name, words in _SIZES.items()
            if name in self._large and row.get(name, -1) >= self._large[name]
        ]
        if (phase := self.went_in(parts)) is not None:
            found.append(("longer than usual", phase.words))
        if "turn" in row:
            turn = row["turn"]
            found.append(
                ("turn of its session", str(turn) if turn <= MOST_TURNS else f"{MOST_TURNS + 1} or later")
            )
        if self._crowded and self._at_once(row["t_send_s"]) >= self._crowded:
            found.append(("others under way at its send", f"{self._crowded} or more, the top quarter"))
        found.append(("sent", self._period(row["t_send_s"])))
        marks = {
            "lost or late segments": bool(row.get("retransmits") or row.get("out_of_order")),
            "a connection of its own": row.get("connect_s", 0.0) > 0,
            "sent again": bool(row.get("resent")),
            "not streamed": row.get("streamed") is False,
        }
        return [*found, *((name, "yes") for name, is_so in marks.items() if is_so)]

    def _at_once(self, t_s: float) -> int:
        """How many others were under way when one was sent at `t_s`."""
        return bisect_left(self.starts_s, t_s) - bisect_right(self._ends_s, t_s)

    def _period(self, t_s: float) -> str:
        first, last = self.starts_s[0], self.starts_s[-1]
        length = (last - first) / PERIODS or 1.0
        number = min(PERIODS - 1, int((t_s - first) / length))
        return f"{clock(first + number * length)}–{clock(first + (number + 1) * length)} of the run"


def clock(t_s: float) -> str:
    """Seconds since the run's start as 1:02:03, or 2:03."""
    minutes, seconds = divmod(int(max(0.0, t_s)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
