"""The times of a chat, and the server's own account of it -> whether something held its stream back. Pure.

The server says how long it took to its first token, and until it was done (`agent_stats`). It sends
`session_id` before it asks the model, and `end` after the model is done. So between the arrivals of these
events at least as much time passes as the server says. Where far less passes, something collected the
earlier event and let it go together with the later one: a proxy that buffers.

Only differences of one clock are compared: neither the network's delay nor the server's clock matters, nor
how long authentication or a queue took. What does not speak of a proxy:

- a reader that came late: an event whose time is not certain may have come earlier, and proves nothing;
- a model that answers in one burst: the server then says that it was done at once;
- a short answer, and an old version that paces its events: there the arrivals are further apart, not closer;
- events of many tokens, reasoning that is not shown, tools: their time is not compared with that of pieces.

Not seen is a proxy that lets `session_id` through at once, and then collects a part of the answer at a time.
"""

from typing import NamedTuple

from astrometer.api.timings import Timings

CURE = (
    "let the proxy in front of AstrBot pass streams on: `proxy_buffering off` in nginx, or the response "
    "header `X-Accel-Buffering: no`"
)
# What took the server less than this is too close to the jitter of a network and of the server's own loop.
TOLD_S = 0.1
# Held back: less than this share of the server's time passed here.
HELD_SHARE = 0.1
# So many pieces in one burst are no short answer, if they hold all tokens that the server counted.
BURST_PIECES = 8
TOKENS_PER_PIECE = 2
# A run is called buffered when so many of its streams were held, and so large a share of those that can tell.
RUN_STREAMS = 3
RUN_SHARE = 0.5


def was_held(times: Timings) -> bool | None:
    """Whether the stream was held back; None where its times cannot tell."""
    found = [span.was_held(times) for span in _spans(times)]
    if True in found:
        return True
    return None if None in found or not found else False


def explain_held(times: Timings) -> str:
    span = next(span for span in _spans(times) if span.was_held(times))
    most_s = span.most_s(times)
    return (
        f"the stream was held back on its way: {span.words} came within {most_s * 1000:.1f} ms, and the "
        f"server says that {span.server_s * 1000:.0f} ms lay between them"
    )


def run_is_buffered(held: int, judged: int) -> bool:
    """Of `judged` streams that can tell, `held` were held back. Single ones may be a network's losses."""
    return held >= RUN_STREAMS and held >= RUN_SHARE * judged


class _Span(NamedTuple):  # up to three for each turn
    """Two events between which the server spent `server_s`."""

    earlier: str
    later: str
    words: str
    server_s: float

    def most_s(self, times: Timings) -> float:
        """What may have passed between their arrivals."""
        return float(getattr(times, self.later) - times.since.get(self.earlier, getattr(times, self.earlier)))

    def least_s(self, times: Timings) -> float:
        return float(times.since.get(self.later, getattr(times, self.later)) - getattr(times, self.earlier))

    def was_held(self, times: Timings) -> bool | None:
        limit_s = HELD_SHARE * self.server_s
        if self.least_s(times) >= limit_s:  # nearly always
            return False
        return True if self.most_s(times) < limit_s else None


def _spans(times: Timings) -> list[_Span]:
    """Those that can tell something of this chat."""
    if not times.streamed:
        return []
    ttft_s, all_s = times.server_ttft_s, times.server_time_s
    rest_s = all_s - ttft_s if ttft_s is not None and all_s is not None and _in_pieces(times) else None
    return [
        _Span(earlier=earlier, later=later, words=words, server_s=server_s)
        for earlier, later, words, server_s in (
            ("t_event1", "t_token1", "the first event and the first token", ttft_s),
            ("t_event1", "t_terminal", "the first event and the end", all_s),
            ("t_token1", "t_terminal", "the first token and the end", rest_s),
        )
        if server_s is not None
        and server_s >= TOLD_S
        and getattr(times, earlier) is not None
        and getattr(times, later) is not None
    ]


def _in_pieces(times: Timings) -> bool:
    """Whether the tokens that the server counted came one by one, or nearly so."""
    pieces = len(times.chunk_gaps_s) + 1
    tokens = times.output_tokens
    return (
        not times.used_tools
        and pieces >= BURST_PIECES
        and tokens is not None
        and tokens <= TOKENS_PER_PIECE * pieces
    )
