"""How a question in a messenger ended: the replies that were its own -> exactly one outcome, and why.

The table is that of chats (`api/outcome.py`), with what only a messenger sees. A message is no proof of an
answer: it may be an error sentence, a command's, or somebody else's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from astrometer.api.outcome import Outcome
from astrometer.api.sentences import split_reasoning
from astrometer.im.im_sentences import find_im_sentence, is_command_answer
from astrometer.im.reply_content import ReplyContent

_SHORT_PART = 8
_NEAR = 60
_ENDS_A_PART = "。？！~…"


@dataclass(slots=True, kw_only=True)
class ReplyFacts:
    """What was seen of a question that has waited long enough."""

    replies: Sequence[ReplyContent]  # its own, in the order that they came
    question_id: str
    canary: str | None = None
    is_command: bool = False  # it was meant as one, such as /reset
    sure: bool = True  # that they are its own: a quotation, a nonce, or nobody else waited
    foreign: int = 0  # replies to others that came into its chat meanwhile
    waited_s: float = 0.0

    texts: tuple[str, ...] = field(init=False)
    text: str = field(init=False)

    def __post_init__(self) -> None:
        self.texts = tuple([answer_text(reply) for reply in self.replies])
        self.text = "\n".join([text for text in self.texts if text])


def answer_text(reply: ReplyContent) -> str:
    """The text of a message without what the model thought before it."""
    _, answer = split_reasoning(reply.text.strip())
    return answer.strip()


def classify_replies(facts: ReplyFacts) -> Outcome:
    """Pick the one outcome."""
    if not facts.replies:
        return Outcome.MISROUTED if facts.foreign else Outcome.SILENT
    text = facts.text
    sentence = find_im_sentence(text)
    if sentence is not None:
        return Outcome(sentence.outcome)
    if any(reply.oversized for reply in facts.replies):
        return Outcome.MALFORMED
    if not facts.is_command and is_command_answer(text):
        return Outcome.NOT_ASKED
    if not any(reply.has_content for reply in facts.replies):
        return Outcome.EMPTY_ANSWER
    if facts.canary is not None and facts.canary not in text:
        astray = facts.foreign or _quotes_another(facts)
        return Outcome.MISROUTED if astray else Outcome.CANARY_MISMATCH
    if facts.foreign and not facts.sure:
        return Outcome.MISROUTED
    return Outcome.DUPLICATED if count_duplicates(facts) else Outcome.OK


def count_duplicates(facts: ReplyFacts) -> int:
    """How many answers there are beyond the first. Parts of one answer are no duplicates of each other."""
    if len(facts.replies) < 2:
        return 0
    quoting = sum(reply.quoted_id == facts.question_id for reply in facts.replies)
    if quoting > 1:  # AstrBot quotes once an answer, in its first part
        return quoting - 1
    same = [reply.sameness for reply in facts.replies]
    for length in range(1, len(same) // 2 + 1):
        times, rest = divmod(len(same), length)
        if not rest and same == same[:length] * times and _is_whole(facts, length):
            return times - 1
    if facts.canary is not None and all(facts.canary in text for text in facts.texts):
        return len(same) - 1
    return 0


def explain_replies(facts: ReplyFacts, outcome: Outcome) -> str:
    """What a person needs to see of such an end; the answer only where that is it."""
    text = facts.text
    if outcome is Outcome.OK:
        return text
    sentence = find_im_sentence(text)
    if sentence is not None:
        at = text.index(sentence.text)
        return text if at < _NEAR else text[at:]  # it may stand behind a long part of an answer
    match outcome:
        case Outcome.SILENT:
            return f"no reply in {facts.waited_s:.1f} s; AstrBot's log may tell why"
        case Outcome.MALFORMED:
            return "a reply that is too long to be read"
        case Outcome.EMPTY_ANSWER:
            return "a reply without text, image or file"
        case Outcome.DUPLICATED:
            return f"answered {1 + count_duplicates(facts)} times: {text}"
        case Outcome.MISROUTED if not facts.foreign:
            return f"the reply quotes another message: {text}"
        case Outcome.MISROUTED:
            return f"{facts.foreign} replies to others came into this chat{': ' * bool(text)}{text}"
        case Outcome.CANARY_MISMATCH if not text and any(reply.images for reply in facts.replies):
            return f"expected {facts.canary}, got an image: switch text to image (t2i) off to check the text"
        case Outcome.CANARY_MISMATCH:
            return f"expected {facts.canary}, got: {text}"
    return text


def _quotes_another(facts: ReplyFacts) -> bool:
    """Whether AstrBot says that it answers a message of somebody else, who may be on another link."""
    quoted = {reply.quoted_id for reply in facts.replies if reply.quoted_id is not None}
    return bool(quoted) and facts.question_id not in quoted


def _is_whole(facts: ReplyFacts, length: int) -> bool:
    """Whether the first replies look like a whole answer, and not like one of several equal short parts."""
    texts, replies = facts.texts[:length], facts.replies[:length]
    text = "".join(texts)
    if length > 1 or len(text) >= _SHORT_PART or not text.endswith(tuple(_ENDS_A_PART)):
        return True
    proven = facts.canary is not None and facts.canary in text
    return proven or any(reply.images or reply.media for reply in replies)
