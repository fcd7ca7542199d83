"""A prompt's script -> the tokens of a simulated model, each at its own time, or its failure.

Token k is due at start + ttft + k * gap: an absolute timeline, so late wake-ups do not add up.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from time import perf_counter

from astrometer.targets.script import Fail, ModelScript


class UpstreamFailed(Exception):
    """The model failed. `tried_again`: AstrBot would have asked it several times before giving up."""

    def __init__(self, detail: str, *, tried_again: bool) -> None:
        super().__init__(detail)
        self.detail = detail
        self.tried_again = tried_again


class UpstreamSilent(Exception):
    """The model said no more; it lasts until AstrBot's own timeout."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token of the answer, or of the reasoning before it."""

    text: str
    reasoning: bool = False


_STATUS_ERRORS = {
    "400": "BadRequestError",
    "401": "AuthenticationError",
    "403": "PermissionDeniedError",
    "429": "RateLimitError",
    "500": "InternalServerError",
    "503": "InternalServerError",
}
# A refused request or a bad key is not asked again.
_FINAL_STATUS = frozenset({"400", "401", "403"})


def connection_error(*, tried_again: bool) -> UpstreamFailed:
    detail = "All chat models failed: APIConnectionError: Connection error."
    return UpstreamFailed(detail, tried_again=tried_again)


async def fail_at_once(script: ModelScript, *, streamed: bool, empty_detail: str = "") -> None:
    """Raise the failure of a script whose model sends no token at all.

    A stream that is empty or garbled is not asked for again, a whole answer is. `empty_detail`: what this
    version says of an empty whole answer. Raises UpstreamFailed.
    """
    if script.fail in (Fail.EMPTY, Fail.BLANK, Fail.GARBAGE) and not (streamed and script.fail is Fail.BLANK):
        await asyncio.sleep(script.ttft_s)  # a status comes at once, a bad stream when the first token is due
    match script.fail:
        case None:
            return
        case Fail.BLANK if streamed:
            return
        case Fail.REFUSE:
            raise connection_error(tried_again=True)
        case Fail.EMPTY | Fail.BLANK:
            detail = "All available chat models are unavailable." if streamed else empty_detail
            raise UpstreamFailed(detail, tried_again=not streamed)
        case Fail.GARBAGE:
            raise UpstreamFailed(
                "All chat models failed: UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in "
                "position 42: invalid start byte",
                tried_again=not streamed,
            )
        case status:
            raise UpstreamFailed(
                f"All chat models failed: {_STATUS_ERRORS[status]}: Error code: {status} - "
                f"scripted failure {status}",
                tried_again=status not in _FINAL_STATUS,
            )


async def tokens(script: ModelScript, prompt: str, before: str = "", *, yields: bool) -> AsyncIterator[Token]:
    """The model's tokens, each when it is due. `yields`: let readers run between tokens due at once.

    `before`: what the user said earlier in this conversation.

    Raises UpstreamFailed, UpstreamSilent.
    """
    start_s = perf_counter()
    await fail_at_once(script, streamed=True)
    answer = [" "] if script.fail is Fail.BLANK else script.words(prompt, before)
    stream = [Token(word, reasoning=True) for word in script.reasoning_words()]
    stream += [Token(word) for word in answer]
    for number, token in enumerate(stream):
        _stop_at(script, number)
        ahead_s = start_s + script.due_s(number) - perf_counter()
        if ahead_s > 0:
            await asyncio.sleep(ahead_s)
        elif yields:
            await asyncio.sleep(0)
        yield token
    _stop_at(script, len(stream))


def _stop_at(script: ModelScript, sent: int) -> None:
    if script.drop_after == sent:
        raise connection_error(tried_again=False)
    if script.stall_after == sent:
        raise UpstreamSilent
