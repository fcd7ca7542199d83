"""What AstrBot says in the place of an answer, or before it: failures and reasoning. Data in one place.

They classify a failure and never make a success. Recorded on 4.18.0, 4.20.1, 4.23.6, 4.25.6, 4.26.8 and
4.29.3. They may be glued behind partial text without a break, so they are searched anywhere in a text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Sentence:
    """`text` anywhere in an answer means `outcome`, the name of an `Outcome`."""

    text: str
    outcome: str


# The order decides: an answer that has several is what the first of them says. An agent's error may quote
# the model's, and a model's what its provider answered.
SENTENCES = (
    Sentence("Error occurred while processing agent request", "agent_error"),
    Sentence("LLM 响应错误:", "llm_error"),
    Sentence("LLM 响应错误：", "llm_error"),
    Sentence("LLM 请求失败：", "llm_error"),
    Sentence("LLM 请求失败:", "llm_error"),
    Sentence("All chat models failed:", "llm_error"),
    Sentence("All available chat models are unavailable", "llm_error"),
    Sentence("你的消息或者大模型的响应中包含不适当的内容", "blocked"),
    Sentence("Your message or the model response contains inappropriate content", "blocked"),
    Sentence("的权限不足以使用此指令", "not_asked"),
)


def find_sentence(text: str, sentences: Sequence[Sentence] = SENTENCES) -> Sentence | None:
    """Return the first sentence of the table that `text` contains."""
    if not text:
        return None
    for sentence in sentences:
        if sentence.text in text:
            return sentence
    return None


class AstrBotBug(StrEnum):
    """A known fault of AstrBot itself, told by what it says. Values are names in results."""

    TWO_EVENT_LOOPS = "two_event_loops"  # its database pool is shared with a second event loop; up to 4.27.2


# Python's own words, of queues and locks, and of futures.
_OF_TWO_LOOPS = ("is bound to a different event loop", "attached to a different loop")


def find_bug(text: str) -> AstrBotBug | None:
    """The known bug that a failed answer shows."""
    return AstrBotBug.TWO_EVENT_LOOPS if any(words in text for words in _OF_TWO_LOOPS) else None


# What a model thought, before its answer, when the whole answer was asked for: up to 4.25 without the line.
REASONING = "🤔 思考: "
REASONING_END = "\n────\n"


def split_reasoning(text: str) -> tuple[str, str]:
    """A whole text -> what of it is reasoning, and what is answer."""
    if not text.startswith(REASONING):
        return "", text
    reasoning, _, answer = text.removeprefix(REASONING).partition(REASONING_END)
    return reasoning.strip(), answer
