"""Prompt text -> what the model is to do: its timing, its length, its fault. No sockets, no clock.

A prompt carries `[[ttft=0.2 gap=0.02 tokens=40]]`; the last directive in it counts and replaces only the
settings it names. The stub model and the simulator obey the same script, so a test can ask either of them
for a known timing or a known fault.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any
from urllib.parse import unquote_plus

# A directive starts with `key=`: "[[1, 2], [3, 4]]" and "[[a wiki link]]" are ordinary prompt text.
DIRECTIVE = re.compile(r"\[\[\s*([A-Za-z_]+=[^\[\]]*)\]\]")
NONCE = re.compile(r"\bam-[0-9a-f]{8,}\b")
MOST_TOKENS = 100_000
LONGEST_S = 3600.0


class DirectiveError(ValueError):
    """A directive that cannot be obeyed; the text names the key and the cure."""


class Fail(StrEnum):
    """How the model fails: a status with an error body, or a reply that is none."""

    BAD_REQUEST = "400"
    UNAUTHORIZED = "401"
    FORBIDDEN = "403"
    TOO_MANY = "429"
    SERVER_ERROR = "500"
    UNAVAILABLE = "503"
    REFUSE = "refuse"  # the connection is closed before any reply
    EMPTY = "empty"  # 200, a completion without text
    GARBAGE = "garbage"  # 200, bytes that are no completion
    BLANK = "blank"  # 200, a completion of white space only

    @property
    def status(self) -> int | None:
        """The HTTP status to answer with; None when the fault is not a status."""
        return int(self.value) if self.value.isdigit() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelScript:
    """What the model does with one prompt. Times are seconds from the arrival of the request."""

    ttft_s: float = 0.2
    gap_s: float = 0.02
    tokens: int = 40
    reasoning_tokens: int = 0
    fail: Fail | None = None
    drop_after: int | None = None  # cut the connection after this many tokens
    stall_after: int | None = None  # say no more after this many tokens
    echo: bool = True  # say the newest nonce of the conversation
    echo_last: bool = False  # at the end instead of the beginning, where a cut answer has not got it
    report_usage: bool = True
    say: str | None = None  # the whole answer, instead of w0 w1 w2

    def reasoning_words(self) -> list[str]:
        """The text of each reasoning token; they come before the answer's."""
        return [f"r{number} " for number in range(self.reasoning_tokens)]

    def words(self, prompt: str, before: str = "") -> list[str]:
        """The text of each answer token, blanks included: joined they are the whole answer.

        `before` is what the user said earlier in the conversation: a nonce of it is remembered.
        """
        if self.say is not None:
            return re.findall(r"\S+\s*|\s+", self.say)
        words = [f"w{number} " for number in range(self.tokens)]
        nonces = NONCE.findall(f"{before}\n{prompt}") if self.echo else []
        if words and nonces:
            words[-1 if self.echo_last else 0] = f"{nonces[-1]} "
        return words

    def due_s(self, number: int) -> float:
        """When token `number` (reasoning included, from 0) is due, in seconds after the request."""
        return self.ttft_s + number * self.gap_s


def script_for(prompt: str, defaults: ModelScript) -> ModelScript:
    """The script of this prompt: `defaults` with the settings of its last directive.

    Raises DirectiveError.
    """
    directives = DIRECTIVE.findall(prompt)
    if not directives:
        return defaults
    changes: dict[str, Any] = {}
    for setting in directives[-1].split():
        key, equals, value = setting.partition("=")
        if not equals or key not in KEYS:
            raise DirectiveError(f"directive: unknown key {key!r} (known: {', '.join(KEYS)})")
        field, parse = KEYS[key]
        try:
            parsed = parse(value)
        except ValueError as exc:
            raise DirectiveError(f"directive: {key}={value}: {exc}") from exc
        changes |= dict(zip(field.split(), parsed if isinstance(parsed, tuple) else (parsed,), strict=True))
    return replace(defaults, **changes)


def _seconds(value: str) -> float:
    seconds = float(value)
    if not (math.isfinite(seconds) and 0 <= seconds <= LONGEST_S):
        raise ValueError(f"seconds from 0 to {LONGEST_S:g} expected")
    return seconds


def _count(value: str) -> int:
    count = int(value)
    if not 0 <= count <= MOST_TOKENS:
        raise ValueError(f"a count from 0 to {MOST_TOKENS} expected")
    return count


def _flag(value: str) -> bool:
    if value not in ("0", "1"):
        raise ValueError("0 or 1 expected")
    return value == "1"


def _fail(value: str) -> Fail:
    try:
        return Fail(value)
    except ValueError as exc:
        raise ValueError(f"one of {', '.join(Fail)} expected") from exc


def _echo(value: str) -> tuple[bool, bool]:
    known = {"right": (True, False), "wrong": (False, False), "last": (True, True)}
    if value not in known:
        raise ValueError("right, wrong or last expected")
    return known[value]


KEYS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "ttft": ("ttft_s", _seconds),
    "gap": ("gap_s", _seconds),
    "tokens": ("tokens", _count),
    "reasoning": ("reasoning_tokens", _count),
    "fail": ("fail", _fail),
    "drop": ("drop_after", _count),
    "stall": ("stall_after", _count),
    "canary": ("echo echo_last", _echo),
    "usage": ("report_usage", _flag),
    "say": ("say", unquote_plus),
}
