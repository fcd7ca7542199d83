"""Durations as people write them <-> seconds; two numbers -> texts that differ."""

import re

_PART = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h|d)")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(value: str | float) -> float:
    """`"1m30s"`, `"250ms"` or a bare number of seconds -> seconds. Raises ValueError."""
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a duration (write 30s, 1m30s or 250ms)")  # noqa: TRY004
    if isinstance(value, int | float):
        return float(value)
    text = value.strip()
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        return float(text)
    if not text or _PART.sub("", text):
        raise ValueError(f"{value!r} is not a duration (write 30s, 1m30s or 250ms)")
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


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


def told_apart(value: float, limit: float) -> tuple[str, str]:
    """Both in as few decimals as tell them apart: `("30", "20")`, `("20.3", "20")`."""
    texts = [(f"{value:.{digits}f}", f"{float(f'{limit:.{digits}f}'):.12g}") for digits in range(10)]
    return next((pair for pair in texts if float(pair[0]) != float(pair[1])), texts[-1])
