"""Values of a results file -> the text a person reads. Withheld is "–", never 0; a failure's time is "∞"."""

import math
from collections.abc import Mapping
from typing import Any

from astrometer.outside_text import shown
from astrometer.units import format_duration

WITHHELD = "–"


def seconds(value: Any) -> float | None:
    """A time in a results file: a number, null (withheld) or the text "inf"."""
    if value is None:
        return None
    return math.inf if value == "inf" else float(value)


def duration(value: Any) -> str:
    return format_duration(seconds(value))


def count(value: int) -> str:
    """1234567 -> "1,234,567"."""
    return f"{value:,}"


def plural(value: int, noun: str, nouns: str = "") -> str:
    """`1 user`, `1,234 users`; `nouns` where it does not only take an s."""
    return f"{count(value)} {noun if value == 1 else nouns or noun + 's'}"


def brief_count(value: int) -> str:
    """For narrow columns: exact up to 9,999, then "33.8k", "4.1M". Cut, not rounded: n is never flattered."""
    if value < 10_000:
        return count(value)
    scale, letter = (1000, "k") if value < 1_000_000 else (1_000_000, "M")
    return f"{value * 10 // scale / 10:,.1f}{letter}"


def rate(value: float | None) -> str:
    """Events per second, three significant digits: "0.25/s", "13.4/s", "1,204/s"."""
    if value is None:
        return WITHHELD
    if value >= 99.95:
        return f"{value:,.0f}/s"
    return f"{value:.1f}/s" if value >= 9.995 else f"{value:.2f}/s"


def times(value: float) -> str:
    """`2.3 times`, `12 times`."""
    return f"{float(f'{value:.2g}'):g} times"


def share(value: float | None) -> str:
    """A share of one as a percentage. Never rounded up to 100 % nor down to 0 %."""
    if value is None:
        return WITHHELD
    if 0 < value < 0.0005:
        return "< 0.1 %"
    if 0.9995 <= value < 1:
        return "> 99.9 %"
    return f"{value * 100:.0f} %" if value in (0, 1) else f"{value * 100:.1f} %"


def size(value: int) -> str:
    """Bytes in decimal units: "2.0 kB"."""
    amount = float(value)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def growth(value: float | None) -> str:
    """Bytes per 1,000 turns: "11.3 MB/1000 turns"."""
    if value is None:
        return WITHHELD
    return f"{'-' if value < 0 else ''}{size(round(abs(value)))}/1000 turns"


def plain(text: Any, limit: int = 1000) -> str:
    """Anything of a results file as one line that is safe to show, in a terminal and on a page."""
    return shown(str(text), limit)


def load(results: Mapping[str, Any]) -> str:
    """`20 users` (closed model), or `5/s, poisson arrivals` (open model)."""
    arrivals, users, workload = (results[name] for name in ("arrivals", "users", "workload"))
    text = "load unknown" if users is None else plural(users, "user")
    if arrivals:
        text = f"{arrivals['rate_per_s']:g}/s, {arrivals['process']} arrivals"
    scale = workload["scale"] if workload else None
    return text if scale is None else f"{text}, {times(scale)} the busiest hour"
