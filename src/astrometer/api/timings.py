"""The points of one turn -> its metrics, and how certain each is.

The whole way of a load run's TTFT: docs/explanation/ways-through-the-code.md.

Definitions (all times are `time.perf_counter` seconds of one process):

`ttft` = first model output with a visible character (text or reasoning, never a control event, nor what
somebody else pushed into the chat) minus the send; `chunk_gap` = differences of consecutive content events
from there on, split at tool calls; missing is None, never 0.

A reader that came late cannot tell when each of the events it found had arrived: such a point has a lower
bound besides (`since`), and what follows from it has `bounds`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from astrometer.api.metric_table import STREAMED_METRICS

# Each metric of one sample, and which attribute it is.
_SINGLE = tuple((name, f"{name}_s") for name in (*STREAMED_METRICS, "schedule_lag") if name != "chunk_gap")
_new = tuple.__new__  # a named tuple's own __new__ takes three times as long
# A time that is known to a millisecond is certain. A shorter send is ignored: it changes no percentile.
CERTAIN_S = 0.001


class Bounds(NamedTuple):
    """A sample in seconds as it was measured, and between which bounds it really is."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Span:
    """An attribute of a turn: one of its points minus an earlier one, in seconds; None where one is missing.

    `of_stream`: None, too, for an answer that was not streamed.
    """

    later: str
    earlier: str
    of_stream: bool = False

    def __get__(self, turn: Any, _owner: type) -> float | None:
        if self.of_stream and not turn.streamed:
            return None
        later, earlier = getattr(turn, self.later), getattr(turn, self.earlier)
        return None if later is None or earlier is None else later - earlier


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
    # The earliest that a point may have been, where that is not known.
    since: Mapping[str, float] = field(default_factory=dict)
    # By the gap's place in `chunk_gaps_s`.
    gap_bounds: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    send_s: float = 0.0  # how long the send took: the question left after `t_send`, by this at most
    server_ttft_s: float | None = None
    server_time_s: float | None = None  # from the question to the model until it was done
    output_tokens: int | None = None
    streamed: bool = False
    used_tools: bool = False

    # First event: authentication and session in the server, not the model.
    accept_time_s = Span("t_event1", "t_send")
    # Rate limit and session queue; None before AstrBot 4.26.7.
    gate_wait_s = Span("t_run_started", "t_event1")
    # Time to the first token, reasoning included.
    ttft_s = Span("t_token1", "t_send", of_stream=True)
    ttft_text_s = Span("t_text1", "t_send", of_stream=True)
    # From the intended time: free of coordinated omission.
    ttft_effective_s = Span("t_token1", "t_intended", of_stream=True)
    e2e_s = Span("t_tokenN", "t_send")
    e2e_effective_s = Span("t_tokenN", "t_intended")
    turn_time_s = Span("t_terminal", "t_send")
    # What the server does after the last token, such as saving the answer.
    tail_s = Span("t_terminal", "t_tokenN")
    # Of the tokens after the first, all together.
    generation_s = Span("t_tokenN", "t_token1", of_stream=True)

    @property
    def schedule_lag_s(self) -> float | None:
        """The load generator's own lateness."""
        return max(0.0, self.t_send - self.t_intended) if self.scheduled else None

    @property
    def tpot_s(self) -> float | None:
        """Time per output token after the first, by the server's own token count.

        None with tool calls: the count holds the calls' own tokens, the time that of the tools.
        """
        if self.generation_s is None or self.used_tools or (self.output_tokens or 0) < 2:
            return None
        return self.generation_s * self._per_token

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
        for name, attribute in _SINGLE:
            value = getattr(self, attribute)
            if value is not None:
                values[name] = (value,)
        return {**values, "chunk_gap": self.chunk_gaps_s} if self.chunk_gaps_s else values

    def bounds(self) -> Mapping[str, tuple[Bounds, ...]]:
        """Of `metrics`, what is not certain to a millisecond; empty when the reader was always in time."""
        send_s = self.send_s if self.send_s > CERTAIN_S else 0.0
        if not (self.since or self.gap_bounds or send_s):
            return {}
        found: dict[str, tuple[Bounds, ...]] = {}
        # How much earlier than told each point may have been.
        slack_s = {point: getattr(self, point) - since for point, since in self.since.items()}
        for name, span in _SPANS.items() if slack_s or send_s else ():
            less_s, more_s = slack_s.get(span.later, 0.0), slack_s.get(span.earlier, 0.0)
            if span.earlier == "t_send":  # it may have begun later
                less_s += send_s
            if not (less_s or more_s):
                continue
            told = getattr(self, f"{name}_s")
            if told is not None:
                scale = self._per_token if name == "tpot" else 1.0
                found[name] = (Bounds(told, max(0.0, told - less_s * scale), told + more_s * scale),)
        if self.gap_bounds:
            gaps = self.chunk_gaps_s
            longest = highest = max(gaps)
            lows, samples = list(gaps), []
            for at, (low, high) in self.gap_bounds.items():
                lows[at], highest = low, max(highest, high)
                samples.append(_new(Bounds, (gaps[at], low, high)))
            found["chunk_gap"] = tuple(samples)
            found["max_gap"] = (Bounds(longest, max(lows), highest),)
        return found

    @property
    def _per_token(self) -> float:
        return 1.0 / ((self.output_tokens or 2) - 1)


def _minus(later: float | None, earlier: float | None) -> float | None:
    return None if later is None or earlier is None else later - earlier


_SPANS = {name.removesuffix("_s"): span for name, span in vars(Timings).items() if isinstance(span, Span)}
# These two begin and end as others do.
_SPANS |= {"overhead": _SPANS["ttft"], "tpot": _SPANS.pop("generation")}
