"""What came of one chat: its outcome, its times, and what the server said of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from astrometer.api.buffering import explain_held, was_held
from astrometer.api.chat.events import AgentStats
from astrometer.api.metric_table import STREAMED_METRICS, WHOLE_METRICS
from astrometer.api.network_stats import LOSSY_TTFT, NO_NETWORK_STATS, NetworkStats
from astrometer.api.outcome import Outcome
from astrometer.api.sentences import AstrBotBug, find_bug
from astrometer.api.timings import Bounds, Timings

# What a turn costs where nobody has measured it: input and output of a short question to an AstrBot with its
# default persona and tools, title call included. For estimates, never for results.
TOKENS_PER_TURN = 1750


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTurn:
    """What one chat was. `detail` is for people and debug pages, never a label."""

    outcome: Outcome
    timings: Timings
    text: str = field(default="", repr=False)
    reasoning: str = field(default="", repr=False)
    session_id: str | None = None
    run_id: str | None = None
    status: int | None = None
    stats: AgentStats | None = None
    events: Mapping[str, int] = field(default_factory=dict)
    bytes_received: int = 0
    detail: str = ""
    streaming: bool = True  # as asked for
    resent: int = 0  # times that the request went out again, on a fresh connection
    network: NetworkStats = NO_NETWORK_STATS
    echoed: bool = False  # it was to repeat something, and did
    blank_lead: int = 0  # blank pieces before the first token
    pushed: int = 0  # messages that somebody else pushed into this chat, which are left out of it
    connect_s: float | None = None  # of the time from the send, how long it waited for a connection
    message_id: str | None = None  # of the row in which the server keeps the answer

    @property
    def expected(self) -> tuple[str, ...]:
        if not self.streaming:
            return WHOLE_METRICS
        if self.timings.used_tools:
            return tuple(name for name in STREAMED_METRICS if name != "tpot")
        return STREAMED_METRICS

    @property
    def input_tokens(self) -> int:
        return self.stats.input_tokens if self.stats else 0

    @property
    def output_tokens(self) -> int:
        return self.stats.output_tokens if self.stats else 0

    @property
    def is_uncounted(self) -> bool:
        """A streamed answer that counts no tokens: broken off, or of a model that reports no usage.

        From 4.26.7 on, which says `run_started`, a broken answer carries the sentence of its failure.
        """
        return (
            self.streaming
            and self.outcome in (Outcome.OK, Outcome.CANARY_MISMATCH)
            and self.stats is not None
            and self.stats.asked_nothing
            and self.timings.t_run_started is None
        )

    @property
    def was_held(self) -> bool | None:
        """Whether something between the server and here held the stream back; None where nobody can tell.

        A lost segment holds back what follows it, too.
        """
        held = was_held(self.timings)
        return None if held and self.network.is_lossy else held

    @property
    def alone(self) -> Self:
        """As it is judged where it stands alone, in a probe: held back, a good answer is BUFFERED.

        Its times are not AstrBot's. A load run looks at the share of such streams, and fails none of them.
        """
        if not (self.outcome.is_ok and self.was_held):
            return self
        return replace(self, outcome=Outcome.BUFFERED, detail=explain_held(self.timings))

    @property
    def bug(self) -> AstrBotBug | None:
        """The known bug of AstrBot that made it fail."""
        return find_bug(self.text) if self.outcome is Outcome.AGENT_ERROR else None

    @property
    def heartbeats(self) -> int:
        return self.events.get("heartbeat", 0)

    def metrics(self) -> Mapping[str, tuple[float, ...]]:
        if self.outcome is Outcome.DROPPED:  # an arrival that never started has measured nothing
            return {}
        found = {**self.timings.metrics(), **self.network.metrics()}
        if self.network.is_lossy and "ttft" in found:
            found[LOSSY_TTFT] = found["ttft"]
        return found

    def bounds(self) -> Mapping[str, tuple[Bounds, ...]]:
        """Of those samples that are not certain."""
        return {} if self.outcome is Outcome.DROPPED else self.timings.bounds()
