"""Chat events with their times -> the points and the metrics of one turn.

Definitions (all times are `time.perf_counter` seconds of one process):

`ttft` = first non-empty model output (text or reasoning, never a control event) minus the send;
`chunk_gap` = differences of consecutive content events, split at tool calls; missing is None, never 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from astrometer.api.events import AgentStats, ChatEvent, EventKind
from astrometer.api.metric_table import STREAMED_METRICS

_SINGLE = (*(name for name in STREAMED_METRICS if name != "chunk_gap"), "schedule_lag")


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
    server_ttft_s: float | None = None
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
        overhead_s = _minus(self.ttft_s, self.server_ttft_s)
        return None if overhead_s is None or overhead_s < 0 else overhead_s

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
    t_content: float | None = None  # the last content event so far
    t_terminal: float | None = None  # when `end` came
    stats: AgentStats | None = None
    _points: dict[str, float] = field(default_factory=dict)
    _gaps: list[float] = field(default_factory=list)
    _gap_open: bool = False
    _deltas: int = 0
    _used_tools: bool = False

    def event(self, t: float, event: ChatEvent) -> None:
        """Note `event`, whose last byte left the socket at `t`."""
        kind = event.kind
        if self.t_terminal is not None:  # the answer is whole
            if kind is EventKind.STATS:
                self.stats = event.stats or self.stats
            return
        if kind is _TEXT or kind is _REASONING:
            if not self._points:
                self._points["t_event1"] = t
            if event.text:
                self._content(t, is_text=kind is _TEXT)
            return
        if kind is not EventKind.HEARTBEAT:
            self._points.setdefault("t_event1", t)
            self._other(t, event)

    def _other(self, t: float, event: ChatEvent) -> None:
        kind = event.kind
        if kind is EventKind.NOTICE:
            if not self.streaming and event.text:
                self._whole_answer(t)
        elif kind is EventKind.TOOL:
            self._used_tools = True
            self._gap_open = False
        elif kind is EventKind.MEDIA:
            self._whole_answer(t)
        elif kind is EventKind.COMPLETE:
            if event.text and self.t_content is None:
                self._whole_answer(t)
        elif kind is EventKind.RUN_STARTED:
            self._points.setdefault("t_run_started", t)
        elif kind is EventKind.STATS:
            self.stats = event.stats or self.stats
        elif kind is EventKind.END:
            self.t_terminal = t

    def _content(self, t: float, *, is_text: bool) -> None:
        points = self._points
        if not self._deltas:
            points["t_token1"] = t
        if is_text and "t_text1" not in points:
            points["t_text1"] = t
        self._deltas += 1
        if self._gap_open and self.t_content is not None:
            self._gaps.append(t - self.t_content)
        self.t_content = t
        self._gap_open = True

    def _whole_answer(self, t: float) -> None:
        self.t_content = t
        self._gap_open = False

    def _was_streamed(self) -> bool:
        """One lone delta of a finished turn counts as streamed only if the server says that it streamed."""
        if self._deltas != 1 or self.t_terminal is None:
            return self._deltas > 0
        return self.stats is not None and self.stats.server_ttft_s is not None

    def timings(self) -> Timings:
        return Timings(
            t_intended=self.t_intended,
            scheduled=self.scheduled,
            t_send=self.t_send,
            t_headers=self.t_headers,
            t_close=self.t_close,
            t_tokenN=self.t_content,
            t_terminal=self.t_terminal,
            chunk_gaps_s=tuple(self._gaps),
            server_ttft_s=self.stats.server_ttft_s if self.stats else None,
            output_tokens=self.stats.output_tokens if self.stats else None,
            streamed=self._was_streamed(),
            used_tools=self._used_tools,
            **self._points,
        )
