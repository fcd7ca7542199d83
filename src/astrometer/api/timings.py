"""Chat events with their times -> the points and the metrics of one turn.

Definitions (all times are `time.perf_counter` seconds of one process):

`ttft` = first model output with a visible character (text or reasoning, never a control event, nor what
somebody else pushed into the chat) minus the send; `chunk_gap` = differences of consecutive content events
from there on, split at tool calls; missing is None, never 0.

A reader that came late cannot tell when each of the events it found had arrived: such a point has a lower
bound besides (`since`), and what follows from it has `bounds`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from astrometer.api.answer_pieces import AnswerPieces
from astrometer.api.events import AgentStats, ChatEvent, EventKind
from astrometer.api.metric_table import STREAMED_METRICS
from astrometer.api.visible import is_visible

_SINGLE = (*(name for name in STREAMED_METRICS if name != "chunk_gap"), "schedule_lag")
# Metrics that are the difference of two points, the later one first.
_SPANS = {
    "accept_time": ("t_event1", "t_send"),
    "gate_wait": ("t_run_started", "t_event1"),
    "ttft": ("t_token1", "t_send"),
    "ttft_text": ("t_text1", "t_send"),
    "ttft_effective": ("t_token1", "t_intended"),
    "overhead": ("t_token1", "t_send"),
    "e2e": ("t_tokenN", "t_send"),
    "e2e_effective": ("t_tokenN", "t_intended"),
    "turn_time": ("t_terminal", "t_send"),
    "tail": ("t_terminal", "t_tokenN"),
    "tpot": ("t_tokenN", "t_token1"),
}
# A send that took no longer is part of every `t_send`, and changes no percentile that anybody reads.
CERTAIN_S = 0.001


class Bounds(NamedTuple):
    """A sample in seconds as it was told, and where it may really have been."""

    told: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """The points in the life of a turn (`t_*`, absolute) and what follows from them (`*_s`, durations)."""

    t_intended: float
    t_send: float
    scheduled: bool = False  # open model: `t_intended` came from a schedule
    t_headers: float | None = None
    t_event1: float | None = None
    t_run_started: float | None = None
    t_token1: float | None = None
    t_text1: float | None = None
    t_tokenN: float | None = None  # noqa: N815 (the name of the specification)
    t_terminal: float | None = None
    t_close: float | None = None
    chunk_gaps_s: tuple[float, ...] = ()
    since: Mapping[str, float] = field(
        default_factory=dict
    )  # the earliest that a point may have been, where that is not known
    gap_bounds: Mapping[int, tuple[float, float]] = field(
        default_factory=dict
    )  # by the gap's place in `chunk_gaps_s`
    send_s: float = 0.0  # how long the send took: the question left after `t_send`, by this at most
    server_ttft_s: float | None = None
    server_time_s: float | None = None  # from the question to the model until it was done
    output_tokens: int | None = None
    streamed: bool = False
    used_tools: bool = False

    @property
    def accept_time_s(self) -> float | None:
        """First event minus send: authentication and session in the server, not the model."""
        return _minus(self.t_event1, self.t_send)

    @property
    def gate_wait_s(self) -> float | None:
        """Rate limit and session queue; None before AstrBot 4.26.7."""
        return _minus(self.t_run_started, self.t_event1)

    @property
    def ttft_s(self) -> float | None:
        """Time to the first token, reasoning included; None for an answer that was not streamed."""
        return _minus(self.t_token1, self.t_send) if self.streamed else None

    @property
    def ttft_text_s(self) -> float | None:
        return _minus(self.t_text1, self.t_send) if self.streamed else None

    @property
    def ttft_effective_s(self) -> float | None:
        """TTFT from the intended time: free of coordinated omission."""
        return _minus(self.t_token1, self.t_intended) if self.streamed else None

    @property
    def e2e_s(self) -> float | None:
        return _minus(self.t_tokenN, self.t_send)

    @property
    def e2e_effective_s(self) -> float | None:
        return _minus(self.t_tokenN, self.t_intended)

    @property
    def turn_time_s(self) -> float | None:
        return _minus(self.t_terminal, self.t_send)

    @property
    def tail_s(self) -> float | None:
        """What the server does after the last token, such as saving the answer."""
        return _minus(self.t_terminal, self.t_tokenN)

    @property
    def schedule_lag_s(self) -> float | None:
        """The load generator's own lateness."""
        return max(0.0, self.t_send - self.t_intended) if self.scheduled else None

    @property
    def tpot_s(self) -> float | None:
        """Time per output token after the first, by the server's own token count.

        None with tool calls: the count holds the calls' own tokens, the time that of the tools.
        """
        if not self.streamed or self.used_tools or self.output_tokens is None or self.output_tokens < 2:
            return None
        generation_s = _minus(self.t_tokenN, self.t_token1)
        return None if generation_s is None else generation_s / (self.output_tokens - 1)

    @property
    def overhead_s(self) -> float | None:
        """What AstrBot, authentication and the network add to the model's own first token.

        None also when the server says that its model took longer than the whole took here.
        """
        return None if self.is_impossible else _minus(self.ttft_s, self.server_ttft_s)

    @property
    def is_impossible(self) -> bool:
        """The first token came sooner than the server itself says that it had it: one of the two is wrong.

        `t_token1` is the latest that it may have been, so an uncertain time cannot be the reason.
        """
        overhead_s = _minus(self.ttft_s, self.server_ttft_s)
        return overhead_s is not None and overhead_s < 0

    @property
    def max_gap_s(self) -> float | None:
        return max(self.chunk_gaps_s, default=None)

    def metrics(self) -> Mapping[str, tuple[float, ...]]:
        """Every metric that has a value, by its name in `results.json`; `chunk_gap` may have many."""
        values = {}
        for name in _SINGLE:
            value = getattr(self, f"{name}_s")
            if value is not None:
                values[name] = (value,)
        return {**values, "chunk_gap": self.chunk_gaps_s} if self.chunk_gaps_s else values

    def bounds(self) -> Mapping[str, tuple[Bounds, ...]]:
        """Of `metrics`, what is not certain to a millisecond; empty when the reader was always in time."""
        send_s = self.send_s if self.send_s > CERTAIN_S else 0.0
        if not (self.since or self.gap_bounds or send_s):
            return {}
        found: dict[str, tuple[Bounds, ...]] = {}
        for name, (later, earlier) in _SPANS.items():
            told = getattr(self, f"{name}_s")
            spread = None if told is None else self._spread(later, earlier, send_s)
            if spread is not None:
                scale = self._per_token if name == "tpot" else 1.0
                less_s, more_s = spread
                found[name] = (Bounds(told, max(0.0, told - less_s * scale), told + more_s * scale),)
        if self.gap_bounds:
            gaps = self.chunk_gaps_s
            found["chunk_gap"] = tuple(Bounds(gaps[at], *ends) for at, ends in self.gap_bounds.items())
            ends = [self.gap_bounds.get(at, (gap, gap)) for at, gap in enumerate(gaps)]
            low, high = max(low for low, _ in ends), max(high for _, high in ends)
            found["max_gap"] = (Bounds(max(gaps), low, high),)
        return found

    def _spread(self, later: str, earlier: str, send_s: float) -> tuple[float, float] | None:
        """How much shorter and longer it may have been than told; None: it is certain."""
        begins_later_s = send_s if earlier == "t_send" else 0.0
        less_s = begins_later_s + self._slack_s(later)
        more_s = self._slack_s(earlier)
        return (less_s, more_s) if less_s or more_s else None

    def _slack_s(self, point: str) -> float:
        since = self.since.get(point)
        return 0.0 if since is None else float(getattr(self, point)) - since

    @property
    def _per_token(self) -> float:
        return 1.0 / ((self.output_tokens or 2) - 1)


def _minus(later: float | None, earlier: float | None) -> float | None:
    return None if later is None or earlier is None else later - earlier


_TEXT, _REASONING = EventKind.TEXT, EventKind.REASONING  # Python 3.11 looks members up by a function


@dataclass(slots=True, kw_only=True)
class Timeline:
    """Collects the points of one turn as its events come in."""

    t_send: float
    t_intended: float
    streaming: bool
    scheduled: bool = False
    t_headers: float | None = None
    t_close: float | None = None
    t_content: float | None = None  # the last content event so far, none before the first token
    t_terminal: float | None = None  # when `end` came
    stats: AgentStats | None = None
    send_s: float = 0.0
    pieces: AnswerPieces = field(default_factory=AnswerPieces)
    pushed: int = 0  # messages that somebody else pushed into this chat
    _points: dict[str, float] = field(default_factory=dict)
    _since: dict[str, float] = field(default_factory=dict)
    _wholes: list[tuple[float, float | None, ChatEvent]] = field(default_factory=list)
    _completed: int = 0  # how many pieces there were at the last `complete`
    _used_tools: bool = False

    def event(self, t: float, event: ChatEvent, since: float | None = None) -> None:
        """Note `event`, whose last byte arrived at `t`; or at some time since `since`."""
        kind = event.kind
        if self.t_terminal is not None:  # the answer is whole
            if kind is EventKind.STATS:
                self.stats = event.stats or self.stats
            return
        if kind is _TEXT or kind is _REASONING:
            if not self._points:
                self._first("t_event1", t, since)
            if event.text:
                pieces = self.pieces
                pieces.add(t, since, event.text, is_text=kind is _TEXT)
                if pieces.first is not None:
                    self.t_content = t
            return
        if kind is not EventKind.HEARTBEAT:
            self._first("t_event1", t, since)
            self._other(t, since, event)

    def _other(self, t: float, since: float | None, event: ChatEvent) -> None:
        kind = event.kind
        if kind is EventKind.NOTICE:
            if not self.streaming and event.text:
                self._whole_answer(t, since, event)
        elif kind is EventKind.TOOL:
            self._used_tools = True
            self.pieces.split()
        elif kind is EventKind.MEDIA:
            self._whole_answer(t, since, event)
        elif kind is EventKind.COMPLETE:
            self._complete(t, since, event)
        elif kind is EventKind.PUSHED:
            self._withdraw(event.text)
        elif kind is EventKind.RUN_STARTED:
            self._first("t_run_started", t, since)
        elif kind is EventKind.STATS:
            self.stats = event.stats or self.stats
        elif kind is EventKind.END:
            self._end(t, since)

    def _first(self, name: str, t: float, since: float | None) -> None:
        """The point `name`, unless there was one."""
        if name not in self._points:
            self._points[name] = t
            if since is not None:
                self._since[name] = since

    def _complete(self, t: float, since: float | None, event: ChatEvent) -> None:
        if not self.pieces and self.t_content is None and is_visible(event.text):
            self._whole_answer(t, since, event)
        if self.pushed:  # of a push in several parts only the last is certain before this
            self.pieces.keep_only(event.text, self._completed)
            self._note_last()
        self._completed = len(self.pieces)

    def _whole_answer(self, t: float, since: float | None, event: ChatEvent) -> None:
        self._wholes.append((t, since, event))
        self.t_content = t
        self.pieces.split()

    def _withdraw(self, text: str) -> None:
        """Somebody else's message is complete: its last part, text or a file, says `text`."""
        self.pushed += 1
        if self._wholes and self._wholes[-1][2].kind is EventKind.MEDIA and self._wholes[-1][2].text == text:
            self._wholes.pop()
        else:
            self.pieces.withdraw_text(text)
        self._note_last()

    def _end(self, t: float, since: float | None) -> None:
        self.t_terminal = t
        if since is not None:
            self._since["t_terminal"] = since
        if self.pushed and not self.streaming:  # the model's own answer came in one piece
            self.pieces.withdraw_all_text()
            self._note_last()

    def _note_last(self) -> None:
        last = self._last_content()
        self.t_content = None if last is None else last[0]

    def _last_content(self) -> tuple[float, float | None] | None:
        found = [whole[:2] for whole in self._wholes[-1:]]
        if self.pieces.last is not None:
            found.append(self.pieces.last)
        return max(found, key=lambda last: last[0], default=None)

    @property
    def has_media(self) -> bool:
        """An image, a record, a file or a video."""
        return any(event.kind is EventKind.MEDIA for _, _, event in self._wholes)

    def _was_streamed(self) -> bool:
        """One lone delta of a finished turn counts as streamed only if the server says that it streamed."""
        if len(self.pieces) != 1 or self.t_terminal is None:
            return len(self.pieces) > 0
        return self.stats is not None and self.stats.server_ttft_s is not None

    def timings(self) -> Timings:
        pieces, points, since = self.pieces, dict(self._points), dict(self._since)
        for name, content in (
            ("t_token1", pieces.at(pieces.first)),
            ("t_text1", pieces.at(pieces.first_text)),
            ("t_tokenN", self._last_content()),
        ):
            if content is not None:
                points[name] = content[0]
                if content[1] is not None:
                    since[name] = content[1]
        gaps, gap_bounds = pieces.gaps()
        return Timings(
            t_intended=self.t_intended,
            scheduled=self.scheduled,
            t_send=self.t_send,
            t_headers=self.t_headers,
            t_close=self.t_close,
            t_terminal=self.t_terminal,
            chunk_gaps_s=gaps,
            since=since,
            gap_bounds=gap_bounds,
            send_s=self.send_s,
            server_ttft_s=self.stats.server_ttft_s if self.stats else None,
            server_time_s=self.stats.server_time_s if self.stats else None,
            output_tokens=self.stats.output_tokens if self.stats else None,
            streamed=self._was_streamed(),
            used_tools=self._used_tools,
            **points,
        )
