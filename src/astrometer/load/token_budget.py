"""What a run has cost so far -> whether it may go on. Counted from the server's own statistics.

Every `agent_stats` of every turn is in the tally, ramp and warm-up included, and workers ship theirs with
each report; so on a master the numbers are those of the whole run. Not in them, because AstrBot does not
report it: the second model call that names a new session. A messenger is told no tokens at all: each of its
replies is booked with what a turn costs where nobody has measured it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from astrometer.api.chat.chat_turn import TOKENS_PER_TURN
from astrometer.measure.tally.exchange_stats import Stats
from astrometer.measure.tally.tally import Tally

# So many answered chats without a single token reported: the server counts none, and a budget would be blind.
BLIND_AFTER = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """Tokens as the server counts them. `coming`: what turns that still run may add, by the mean so far.

    `replies`: of a messenger, which is not told their tokens.
    """

    tokens: int
    coming: int
    replies: int
    answered: int  # chats that ended well

    @property
    def assumed(self) -> int:
        return self.replies * TOKENS_PER_TURN

    @property
    def in_all(self) -> int:
        return self.tokens + self.assumed + self.coming

    @property
    def is_blind(self) -> bool:
        """Chats are answered and no tokens are reported: the upstream does not say what it used."""
        return self.answered >= BLIND_AFTER and self.tokens == 0


@dataclass(frozen=True, slots=True)
class TokenBudget:
    """At most so many tokens, input and output together."""

    limit: int

    def spent(self, tally: Tally) -> Spending:
        """Cheap: looks at counters only, so that it may be asked every second."""
        tokens = coming = answered = replies = 0
        for stats in _all_stats(tally):
            ended = stats.outcomes.total()
            tokens += _tokens(stats)
            replies += stats.facts["replies"]
            used = _tokens(stats) + stats.facts["replies"] * TOKENS_PER_TURN
            coming += round(used / ended * max(0, stats.started - ended)) if ended else 0
            answered += stats.ok["e2e"].n if "e2e" in stats.ok else 0
        return Spending(tokens=tokens, coming=coming, answered=answered, replies=replies)

    def why_stop(self, tally: Tally) -> str | None:
        """A sentence for the report when nothing new may begin; None while there is something left."""
        spending = self.spent(tally)
        if spending.is_blind:
            return (
                f"the token budget of {self.limit:,} cannot be kept: "
                f"{spending.answered} chats were answered and the server reported no tokens"
            )
        if spending.in_all >= self.limit:
            parts = [f"{spending.tokens:,} counted"] if spending.tokens or not spending.replies else []
            if spending.replies:
                parts.append(
                    f"about {spending.assumed:,} for {spending.replies:,} replies in a messenger, which is "
                    f"not told their tokens ({TOKENS_PER_TURN:,} each, assumed)"
                )
            parts += [f"about {spending.coming:,} in turns that still ran"] if spending.coming else []
            return f"the token budget of {self.limit:,} was spent: {' and '.join(parts)}"
        return None


def _all_stats(tally: Tally) -> Iterator[Stats]:
    yield from list(tally.counted.values())
    yield from list(tally.excluded.values())


def _tokens(stats: Stats) -> int:
    return stats.tokens["input_tokens"] + stats.tokens["output_tokens"]
