"""Durations, rates and percentages as people write them <-> numbers; two numbers -> texts that differ."""

import re
import time

_PART = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h|d)")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(value: str | float) -> float:
    """`"1m30s"`, `"250ms"` or a bare number of seconds -> seconds. Raises ValueError."""
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a duration (write 30s, 1m30s or 250ms)")  # noqa: TRY004
    if isinstance(value, int | float):
        return float(value)
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a duration (write 30s, 1m30s or 250ms)")  # noqa: TRY004
    text = value.strip()
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        return float(text)
    if not text or _PART.sub("", text):
        raise ValueError(f"{value!r} is not a duration (write 30s, 1m30s or 250ms)")
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


def parse_rate(value: str | float) -> float:
    """`"5/s"`, `"90/m"` or `"600/h"` -> events per second. Raises ValueError."""
    if isinstance(value, float):
        return value
    number, slash, unit = str(value).strip().partition("/")
    per_s = {"s": 1.0, "m": 1 / 60, "h": 1 / 3600}.get(unit)
    plain = re.fullmatch(r"\d+(?:\.\d+)?", number, re.ASCII)
    rate = float(number) * (per_s or 0.0) if plain else 0.0
    if not slash or not 0 < rate < float("inf"):
        raise ValueError(f"{value!r} is not a rate (write 5/s, 90/m or 600/h)")
    return rate


def parse_percent(value: str | float) -> float:
    """`"5%"` or `"5"` -> 0.05; a float is a share already. Raises ValueError."""
    if isinstance(value, float):
        return value
    text = str(value).strip().removesuffix("%")
    if re.fullmatch(r"\d+(?:\.\d+)?", text, re.ASCII) is None:
        raise ValueError(f"{value!r} is not a percentage (write 5%)")
    return float(text) / 100


def plain_number(value: float) -> str:
    """Without an exponent, which our own parsers do not read."""
    return f"{value:.9f}".rstrip("0").rstrip(".")


def format_duration(seconds: float | None) -> str:
    """Seconds -> `"4.2 ms"`, `"1.23 s"`, `"2m 05s"`; None (missing or withheld) -> `"–"`."""
    if seconds is None:
        return "–"
    if seconds == float("inf"):
        return "∞"
    if seconds < 0.0995:
        return f"{seconds * 1e3:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m {rest:02d}s"


def format_span(seconds: float) -> str:
    """How long something lasted, in two units at most: `"45 s"`, `"12 min"`, `"3 h 12 min"`, `"2 d 4 h"`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def utc(epoch_s: float) -> str:
    """A time for people: `2026-01-31 12:00:00 UTC`."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(epoch_s))


def distinct_texts(value: float, limit: float) -> tuple[str, str]:
    """Both in as few decimals as tell them apart: `("30", "20")`, `("20.3", "20")`."""
    texts = [(f"{value:.{digits}f}", f"{float(f'{limit:.{digits}f}'):.12g}") for digits in range(10)]
    return next((pair for pair in texts if float(pair[0]) != float(pair[1])), texts[-1])
