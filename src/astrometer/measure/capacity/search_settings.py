"""The text of a capacity search <-> its settings. Pure.

1..500                                                users: from 1, at most 500
1/s..100/s step 30s settle 6s precision 5% repeats 3  arrivals per second (open model), and the defaults
"""

import math
import re
from dataclasses import dataclass

from astrometer.measure.capacity.search import SearchPlan
from astrometer.units import parse_duration

EXAMPLE = "1..500 step 30s settle 6s precision 5% repeats 3"
STEP_S = 30.0
PRECISION = 0.05
REPEATS = 3
MAX_TOKENS = 20_000  # Locust users that may stand for the highest rate
LONGEST = 10  # times the step: as long as a window may get while samples are too few
_LEVELS = re.compile(r"(\d+(?:\.\d+)?)(/s)?\.\.(\d+(?:\.\d+)?)(/s)?", re.ASCII)
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%", re.ASCII)


class SearchError(ValueError):
    """A search that cannot be run: what is wrong in its text, and what to write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """A search as it was asked for. Levels are users, or arrivals per second when `is_rate`."""

    start: float
    maximum: float
    is_rate: bool = False
    step_s: float = STEP_S
    settle_s: float = STEP_S / 5
    precision: float = PRECISION
    repeats: int = REPEATS

    def __post_init__(self) -> None:
        """Raises SearchError."""
        if not 0 < self.start <= self.maximum <= 1e6:
            raise SearchError(f"from {self.start:g} to {self.maximum:g} is not a range of loads")
        if not self.is_rate and (self.start != int(self.start) or self.maximum != int(self.maximum)):
            raise SearchError("the number of users must be a whole number; write 0.5/s for a rate")
        if not 1 <= self.step_s <= 86400 or not 0 <= self.settle_s <= 86400:
            raise SearchError("step must be 1s to 1d, settle at most 1d")
        if not 0.001 <= self.precision <= 0.5:
            raise SearchError(f"precision must be between 0.1% and 50%, not {self.precision * 100:.4g}%")
        if not 1 <= self.repeats <= 21 or self.repeats % 2 == 0:
            raise SearchError(
                f"repeats must be an odd number up to 21 (so that there is a majority), not {self.repeats}"
            )

    @classmethod
    def parse(cls, text: str) -> "SearchSettings":
        """Raises SearchError."""
        try:
            return _parse(text.split())
        except SearchError as exc:
            raise SearchError(f"capacity {text.strip()!r}: {exc} (as in: {EXAMPLE})") from None

    def __str__(self) -> str:
        unit = "/s" if self.is_rate else ""
        return (
            f"{_number(self.start)}{unit}..{_number(self.maximum)}{unit} step {_number(self.step_s)}s "
            f"settle {_number(self.settle_s)}s precision {_number(self.precision * 100)}% "
            f"repeats {self.repeats}"
        )

    @property
    def unit(self) -> float:
        """What one level of the search, which is one Locust user, stands for."""
        if not self.is_rate:
            return 1.0
        finest = self.start / math.ceil(1 / self.precision)
        return max(finest, self.maximum / MAX_TOKENS)

    @property
    def plan(self) -> SearchPlan:
        return SearchPlan(
            start=max(1, round(self.start / self.unit)),
            maximum=max(1, round(self.maximum / self.unit)),
            precision=self.precision,
            repeats=self.repeats,
        )

    @property
    def longest_s(self) -> float:
        """How long a window may get while samples are too few."""
        return LONGEST * self.step_s

    def load(self, level: int) -> float:
        """Users, or arrivals per second."""
        return round(level * self.unit, 9) if self.is_rate else float(level)

    def arrivals_due(self, level: int, length_s: float) -> float | None:
        """In a window; None of users, of whom no rate is asked."""
        return self.load(level) * length_s if self.is_rate else None

    def load_text(self, level: int) -> str:
        if self.is_rate:
            return f"{self.load(level):.4g} arrivals/s"
        return f"{level} user" if level == 1 else f"{level} users"


def _parse(words: list[str]) -> SearchSettings:
    match = _LEVELS.fullmatch(words[0]) if words else None
    if match is None:
        raise SearchError("begin with START..MAX, in users (1..500) or arrivals (1/s..100/s)")
    if bool(match[2]) != bool(match[4]):
        raise SearchError("users and rates (/s) cannot be mixed")
    given: dict[str, str] = {}
    rest = words[1:]
    while rest:
        name = rest.pop(0)
        if name not in {"step", "settle", "precision", "repeats"} or name in given:
            raise SearchError(f"unknown word {name!r}")
        if not rest:
            raise SearchError(f"{name!r} needs a value")
        given[name] = rest.pop(0)
    step_s = _time("step", given.get("step", f"{STEP_S:g}s"))
    return SearchSettings(
        start=float(match[1]),
        maximum=float(match[3]),
        is_rate=match[2] is not None,
        step_s=step_s,
        settle_s=_time("settle", given["settle"]) if "settle" in given else step_s / 5,
        precision=_share(given["precision"]) if "precision" in given else PRECISION,
        repeats=_whole(given["repeats"]) if "repeats" in given else REPEATS,
    )


def _time(name: str, text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as exc:
        raise SearchError(f"{name}: {exc}") from exc


def _share(text: str) -> float:
    match = _PERCENT.fullmatch(text)
    if match is None:
        raise SearchError(f"precision {text!r} is not a percentage (write 5%)")
    return float(match[1]) / 100


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise SearchError(f"repeats {text!r} is not a whole number")
    return int(text)


def _number(value: float) -> str:
    return f"{value:.9f}".rstrip("0").rstrip(".")
