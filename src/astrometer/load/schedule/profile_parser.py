"""The text of a load profile <-> its kind, levels and times. Pure.

    constant 20 for 5m                  the same all the time
    ramp 1..100 for 5m                  from one level to another, evenly
    10:1m,50:2m,20:30s                  steps: a level and how long it holds ("steps 10:1m,..." is the same)
    spike 10..100 of 30s for 5m         a base, and in the middle of the 5 minutes a spike of 30 s
    soak 50 for 1h                      rises in a tenth of the time (at most 5 minutes), then holds;
    soak 50 ramp 2m for 1h              or rises in the time that `ramp` says
    sine 10..50 period 2m for 10m       between two levels, beginning at the lower one

"for" is always the whole duration. A level is a number of users, `20`, or of arrivals per second, `5/s`.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from astrometer.units import parse_duration


class ProfileError(ValueError):
    """A profile that makes no sense: the place in its text, and the cure."""


class Kind(StrEnum):
    CONSTANT = "constant"
    RAMP = "ramp"
    STEPS = "steps"
    SPIKE = "spike"
    SOAK = "soak"
    SINE = "sine"


# The words after each kind: L a level, R two levels, T a time; in brackets: may be left out.
GRAMMAR = {
    Kind.CONSTANT: ("L", "for T"),
    Kind.RAMP: ("R", "for T"),
    Kind.SPIKE: ("R", "of T", "for T"),
    Kind.SOAK: ("L", "[ramp T]", "for T"),
    Kind.SINE: ("R", "period T", "for T"),
}
EXAMPLES = {
    Kind.CONSTANT: "constant 20 for 5m",
    Kind.RAMP: "ramp 1..100 for 5m",
    Kind.STEPS: "10:1m,50:2m,20:30s",
    Kind.SPIKE: "spike 10..100 of 30s for 5m",
    Kind.SOAK: "soak 50 for 1h",
    Kind.SINE: "sine 10..50 period 2m for 10m",
}


class Written(NamedTuple):
    """What a text says, sensible or not. `times_s` in its order."""

    kind: Kind
    levels: tuple[float, ...]
    times_s: tuple[float, ...]
    is_rate: bool


def read(text: str) -> Written:
    """Raises ProfileError."""
    words = text.split()
    if words and (":" in words[0] or words[0] == Kind.STEPS):
        return _parse_steps("".join(words[words[0] == Kind.STEPS :]))
    return _parse_words(words)


def write(kind: Kind, levels: Sequence[float], times_s: Sequence[float], *, is_rate: bool) -> str:
    written = [_level_text(level, is_rate=is_rate) for level in levels]
    times = [_time_text(time_s) for time_s in times_s]
    if kind is Kind.STEPS:
        return ",".join(f"{level}:{time}" for level, time in zip(written, times, strict=True))
    words: list[str] = [kind.value]
    for pattern in GRAMMAR[kind]:
        if pattern in {"L", "R"}:
            words.append("..".join(written))
        elif not pattern.startswith("[") or len(times) > 1:
            words += [pattern.strip("[]").split()[0], times.pop(0)]
    return " ".join(words)


def _parse_steps(text: str) -> Written:
    levels, times_s, rates = [], [], set()
    for number, item in enumerate(text.split(","), 1):
        place = f"step {number} {item!r}: "
        level, colon, time = item.partition(":")
        if not colon:
            raise ProfileError(f"{place}has no colon (write LEVEL:TIME, such as 10:1m)")
        value, is_rate = _parse_level(level, place)
        levels.append(value)
        rates.add(is_rate)
        times_s.append(_parse_time(time, place))
    return Written(Kind.STEPS, tuple(levels), tuple(times_s), _one_unit(rates))


def _parse_words(words: list[str]) -> Written:
    try:
        kind = Kind(words[0])
    except ValueError:
        known = ", ".join(repr(example) for example in EXAMPLES.values())
        raise ProfileError(f"{words[0]!r} is no shape; write for example {known}") from None
    example = f" (as in: {EXAMPLES[kind]})"
    rest = words[1:]
    levels: list[tuple[float, bool]] = []
    times_s = []
    for pattern in GRAMMAR[kind]:
        if pattern in {"L", "R"}:
            given = rest.pop(0).split("..") if rest else []
            if len(given) != (1 if pattern == "L" else 2):
                wanted = "a level" if pattern == "L" else "two levels LEVEL..LEVEL"
                raise ProfileError(f"expected {wanted} after {words[0]!r}{example}")
            levels = [_parse_level(level, "") for level in given]
            continue
        keyword = pattern.strip("[]").split()[0]
        if rest[:1] != [keyword]:
            if pattern.startswith("["):
                continue
            where = f"before {rest[0]!r}" if rest else "at the end"
            raise ProfileError(f'expected "{keyword} TIME" {where}{example}')
        if len(rest) < 2:
            raise ProfileError(f"expected a time after {keyword!r}{example}")
        times_s.append(_parse_time(rest[1], f"{keyword}: "))
        del rest[:2]
    if rest:
        raise ProfileError(f"do not know what {rest[0]!r} means here{example}")
    return Written(
        kind=kind,
        levels=tuple(value for value, _ in levels),
        times_s=tuple(times_s),
        is_rate=_one_unit({is_rate for _, is_rate in levels}),
    )


def _parse_level(text: str, place: str) -> tuple[float, bool]:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(/s)?", text, re.ASCII)
    if match is None:
        raise ProfileError(f"{place}{text!r} is no level (write 10 for users, 5/s for arrivals per second)")
    return float(match[1]), match[2] is not None


def _parse_time(text: str, place: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as exc:
        raise ProfileError(f"{place}{exc}") from exc


def _one_unit(rates: set[bool]) -> bool:
    if len(rates) > 1:
        raise ProfileError("users and rates (/s) in one shape")
    return rates.pop()


def _level_text(level: float, *, is_rate: bool) -> str:
    return f"{_number(level)}/s" if is_rate else _number(level)


def _number(value: float) -> str:
    """Exact, without an exponent."""
    text = f"{value:.15f}".rstrip("0").rstrip(".")
    return text if float(text) == value else f"{value:.340f}".rstrip("0")


def _time_text(time_s: float) -> str:
    if time_s != int(time_s):
        return f"{_number(time_s)}s"
    parts = []
    rest = int(time_s)
    for unit, seconds in (("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, seconds)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)
