"""What a capacity search was asked for -> its settings. Pure."""

import math
import re
from dataclasses import dataclass
from enum import StrEnum

from astrometer.measure.capacity.next_load import SearchPlan
from astrometer.units import parse_rate, plain_number

STEP_S = 30.0
PRECISION = 0.05
REPEATS = 3
MAX_USERS = 1000  # of a search that names no maximum
MAX_RATE_FACTOR = 200  # the same for rates: times the first
MAX_TOKENS = 20_000  # Locust users that may stand for the highest rate
LONGEST = 10  # times the step: as long as a window may get while samples are too few


class SearchError(ValueError):
    """A search that makes no sense: the option, and the cure."""


class Model(StrEnum):
    """Who decides when the next turn begins: users who wait for their answers, or a rate."""

    CLOSED = "closed"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Level:
    """`10` users, or `5/s` arrivals."""

    value: float
    is_rate: bool

    @classmethod
    def parse(cls, text: str) -> "Level":
        """Raises ValueError."""
        if isinstance(text, Level):
            return text
        if "/" in text:
            return cls(parse_rate(text), is_rate=True)
        if re.fullmatch(r"[1-9]\d*", text.strip(), re.ASCII) is None:
            raise ValueError(f"{text!r} is neither a number of users (10) nor a rate (5/s)")
        return cls(float(text), is_rate=False)

    def __str__(self) -> str:
        return f"{plain_number(self.value)}/s" if self.is_rate else f"{self.value:.0f}"


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
            raise SearchError(
                f"--start {self.start:g} must not be above --max {self.maximum:g} (at most 1e6)"
            )
        if not self.is_rate and (self.start != int(self.start) or self.maximum != int(self.maximum)):
            raise SearchError("users come in whole numbers; write 0.5/s for a rate")
        if not 1 <= self.step_s <= 86400 or not 0 <= self.settle_s <= 86400:
            raise SearchError("--step-time must be between 1s and 1d, --settle at most 1d")
        if not 0.001 <= self.precision <= 0.5:
            raise SearchError(f"--precision {self.precision:.4%} is not between 0.1% and 50%")
        if not 1 <= self.repeats <= 21 or self.repeats % 2 == 0:
            raise SearchError(
                f"--repeats {self.repeats} must be an odd number up to 21, so that there is a majority"
            )

    def __str__(self) -> str:
        unit = "/s" if self.is_rate else ""
        return (
            f"{plain_number(self.start)}{unit}..{plain_number(self.maximum)}{unit} "
            f"step {plain_number(self.step_s)}s settle {plain_number(self.settle_s)}s "
            f"precision {plain_number(self.precision * 100)}% repeats {self.repeats}"
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


def search_between(
    start: Level | None,
    maximum: Level | None,
    *,
    model: Model | None = None,
    step_s: float = STEP_S,
    settle_s: float | None = None,
    precision: float = PRECISION,
    repeats: int = REPEATS,
) -> SearchSettings:
    """A search from `start` to `maximum`, either of which may be left out. Raises SearchError."""
    kinds = {level.is_rate for level in (start, maximum) if level is not None}
    if len(kinds) > 1 or (model is not None and kinds and kinds != {model is Model.OPEN}):
        raise SearchError(
            "--model, --start and --max must agree: rates such as 5/s (open model), or numbers of users "
            "such as 5 (closed model)"
        )
    is_rate = model is Model.OPEN or kinds == {True}
    first = start.value if start is not None else 1.0
    if maximum is not None:
        most = maximum.value
    else:
        most = first * MAX_RATE_FACTOR if is_rate else float(max(MAX_USERS, first))
    return SearchSettings(
        start=min(first, most) if start is None else first,
        maximum=most,
        is_rate=is_rate,
        step_s=step_s,
        settle_s=step_s / 5 if settle_s is None else settle_s,
        precision=precision,
        repeats=repeats,
    )
