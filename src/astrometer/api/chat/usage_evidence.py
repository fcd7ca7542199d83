"""Whether a model reports how many tokens it used -> the outcome of an answer that counts none. Pure.

Up to AstrBot 4.26.6 a streamed answer that the model breaks off looks whole: text, `complete`, `end`. Only
its `agent_stats` count no tokens. A model that never reports usage looks the same. What tells them apart is
whether other answers of the same target count some.
"""

from dataclasses import dataclass, replace

from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.outcome import Outcome
from astrometer.outside_text import shown


@dataclass(slots=True)
class UsageEvidence:
    """What the answers of one target have shown so far.

    `counted` True: one of them counted tokens. False: one that was surely whole did not. None: not known.
    """

    counted: bool | None = None

    def settle(self, turn: ChatTurn) -> ChatTurn:
        """The turn as it is to be judged after all that ended before it."""
        if turn.input_tokens + turn.output_tokens > 0:
            self.counted = True
        elif turn.echoed and turn.stats is not None and self.counted is None:
            self.counted = False
        if not turn.is_uncounted:
            return turn
        # Neither what it was to repeat nor a count: without other evidence it was broken off.
        missing = self.counted is None and turn.outcome is Outcome.CANARY_MISMATCH
        return broken_off(turn) if self.counted or missing else turn


def broken_off(turn: ChatTurn) -> ChatTurn:
    """An uncounted answer as the failure that it was."""
    detail = f"the model broke off, for agent_stats count no tokens; until then: {turn.text.strip()}"
    return replace(turn, outcome=Outcome.LLM_ERROR, detail=shown(detail))
