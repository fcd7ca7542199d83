"""The turns of many chats -> a workload. Pure; texts and ids do not come this far.

A conversation ends with a pause of more than half an hour, because chats in a messenger never end.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from astrometer.load.workload.spread import Spread
from astrometer.load.workload.workload_file import BusiestHour, ByHour, Workload

GAP_S = 1800.0  # the usual length after which a visit to a web site is over
REMINDER_TOKENS = 20  # what AstrBot adds to a question: "Current datetime: ..."
HOUR_S, DAY_S = 3600.0, 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficTurn:
    """One question and its answer. Epoch seconds; None: the source does not tell."""

    start_s: float
    end_s: float | None = None
    prompt_tokens: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficChat:
    """All turns of one chat, in their order. `person`: a number that stands for whoever it is with."""

    person: int
    is_web: bool
    turns: Sequence[TrafficTurn]


@dataclass(slots=True)
class Traffic:
    """What was seen so far: numbers alone."""

    asked: list[tuple[float, int]] = field(default_factory=list)  # when, and by whom
    begun: list[float] = field(default_factory=list)  # conversations
    web_turns: int = 0
    samples: dict[str, list[float]] = field(default_factory=dict)  # by the names of the spreads

    def add(self, chat: TrafficChat) -> None:
        self.web_turns += len(chat.turns) * chat.is_web
        self.asked += [(turn.start_s, chat.person) for turn in chat.turns]
        for turn in chat.turns:
            self._note("answer_s", None if turn.end_s is None else max(0.0, turn.end_s - turn.start_s))
            for name in ("prompt_tokens", "input_tokens", "output_tokens"):
                self._note(name, getattr(turn, name))
        length = 0
        for number, turn in enumerate(chat.turns):
            before = chat.turns[number - 1] if number else None
            pause_s = None if before is None else max(0.0, turn.start_s - (before.end_s or before.start_s))
            if before is None or pause_s is None or pause_s > GAP_S:
                if length:
                    self._note("turns", length)
                length = 0
                self.begun.append(turn.start_s)
            else:
                self._note("pause_s", pause_s)
                self._note("prompt_tokens", _grown(before, turn))
            length += 1
        if length:
            self._note("turns", length)

    def _note(self, name: str, value: float | None) -> None:
        if value is not None:
            self.samples.setdefault(name, []).append(value)

    def learn(self, source: str) -> tuple[Workload, float]:
        """The workload, and when its busiest hour began. Raises ValueError when there was no turn."""
        self.asked.sort()
        if not self.asked:
            raise ValueError("no answers in it")
        span_s = self.asked[-1][0] - self.asked[0][0]
        first, count = _busiest(self.asked)
        within = self.asked[first : first + count]
        # Less than an hour in all: as many intervals as turns but one.
        per_s = count / HOUR_S if span_s >= HOUR_S else max(1, count - 1) / (span_s or HOUR_S)
        days = max(1.0, span_s / DAY_S)
        workload = Workload(
            source=source,
            days=span_s / DAY_S,
            people=len({person for _, person in self.asked}),
            web_share=self.web_turns / len(self.asked),
            busiest_hour=BusiestHour(turns_per_s=per_s, people=len({person for _, person in within})),
            by_hour=ByHour(
                utc_offset=datetime.fromtimestamp(self.asked[-1][0]).astimezone().strftime("%z"),
                turns=_by_hour((when for when, _ in self.asked), days),
                conversations=_by_hour(self.begun, days),
            ),
            spreads={
                name: spread
                for name, values in self.samples.items()
                if (spread := Spread.of(values)) is not None
            },
        )
        return workload, within[0][0]


def _grown(before: TrafficTurn, turn: TrafficTurn) -> float | None:
    """The question, by how much more the model was sent than last time. None: it was not only that."""
    if turn.prompt_tokens is not None or None in (
        before.input_tokens,
        before.output_tokens,
        turn.input_tokens,
    ):
        return None
    grown = turn.input_tokens - before.input_tokens - before.output_tokens - REMINDER_TOKENS  # type: ignore[operator]
    return max(1.0, grown) if grown > -REMINDER_TOKENS else None  # tools, or a history that was cut


def _busiest(asked: Sequence[tuple[float, int]]) -> tuple[int, int]:
    """Where the hour with the most turns begins, and how many it has."""
    best, last = (0, 0), 0
    for first, (when, _) in enumerate(asked):
        while last < len(asked) and asked[last][0] < when + HOUR_S:
            last += 1
        best = max(best, (last - first, -first))
    return -best[1], best[0]


def _by_hour(starts: Iterable[float], days: float) -> tuple[float, ...]:
    counts = [0] * 24
    for when in starts:
        counts[datetime.fromtimestamp(when).astimezone().hour] += 1
    return tuple(count / days for count in counts)
