"""A load profile -> how many users (or arrivals per second) there are at any time. Pure.

Its text is read and written by `load.schedule.profile_parser`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from astrometer.load.schedule.profile_parser import EXAMPLES, Kind, ProfileError, read, write

MAX_STAGES = 100  # each has its own row in the results
MIN_TIME_S = 1.0  # Locust asks a shape once a second
RATE_USERS, MAX_RATE_USERS = 100, 1000  # Locust users at the peak of a rate
SOAK_RAMP_SHARE, SOAK_RAMP_MAX_S = 0.1, 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of a profile that has a row of its own in the results. `peak`: its highest level."""

    name: str
    start_s: float
    end_s: float
    peak: float
    is_flat: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """From one level straight to another; a wave goes there and back."""

    name: str
    duration_s: float
    begin: float
    end: float
    wave: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Levels over time. `times_s` in the order of the text. Raises ProfileError when it makes no sense."""

    kind: Kind
    levels: tuple[float, ...]
    times_s: tuple[float, ...]
    is_rate: bool = False

    def __post_init__(self) -> None:
        self._check()

    @classmethod
    def parse(cls, text: str) -> "Profile":
        """Raises ProfileError."""
        if not text.strip():
            raise ProfileError(f"shape is empty; write for example {EXAMPLES[Kind.RAMP]!r}")
        try:
            return cls(**read(text)._asdict())
        except ProfileError as exc:
            raise ProfileError(f"shape {text.strip()!r}: {exc}") from None

    def __str__(self) -> str:
        """The text that `parse` takes."""
        return write(self.kind, self.levels, self.times_s, is_rate=self.is_rate)

    @property
    def duration_s(self) -> float:
        return math.fsum(part.duration_s for part in self._parts())

    @property
    def peak(self) -> float:
        return max(self.levels)

    @property
    def unit(self) -> float:
        """What one Locust user stands for: 1 user, or a share of the rate that makes its steps small and
        its levels exact."""
        if not self.is_rate:
            return 1.0
        common = math.gcd(*(round(level * 1000) for level in self.levels)) / 1000
        if common <= 0 or self.peak / common > MAX_RATE_USERS:
            return self.peak / RATE_USERS
        return common / math.ceil(RATE_USERS * common / self.peak)

    @property
    def stages(self) -> tuple[Stage, ...]:
        found, start_s = [], 0.0
        for part in self._parts():
            end_s = start_s + part.duration_s
            peak = max(part.begin, part.end)
            is_flat = part.begin == part.end
            found.append(Stage(name=part.name, start_s=start_s, end_s=end_s, peak=peak, is_flat=is_flat))
            start_s = end_s
        return tuple(found)

    @property
    def steepest(self) -> float:
        """The largest change of the level within a second."""
        steepest, level = 0.0, 0.0
        for part in self._parts():
            slope = abs(part.end - part.begin) / part.duration_s * (math.pi if part.wave else 1.0)
            steepest = max(steepest, abs(part.begin - level), slope)
            level = part.begin if part.wave else part.end
        return steepest

    def level(self, t: float) -> float | None:
        """Users, or arrivals per second, `t` seconds after the start; None when it is over."""
        start_s = 0.0
        for part in self._parts():
            if t < start_s + part.duration_s:
                share = max(0.0, t - start_s) / part.duration_s
                if part.wave:
                    share = (1 - math.cos(2 * math.pi * share)) / 2
                return part.begin + (part.end - part.begin) * share
            start_s += part.duration_s
        return None

    def area(self, until_s: float) -> float:
        """The levels summed over time until then: of a rate, how many arrivals there should have been."""
        area, start_s = 0.0, 0.0
        for part in self._parts():
            share = min(1.0, max(0.0, until_s - start_s) / part.duration_s)
            rise = share**2 / 2
            if part.wave:
                rise = (share - math.sin(2 * math.pi * share) / (2 * math.pi)) / 2
            area += (part.begin * share + (part.end - part.begin) * rise) * part.duration_s
            start_s += part.duration_s
        return area

    def boundary(self, t: float) -> float:
        """When the stage that goes on at `t` ends, or the profile; `t` itself when all is over."""
        return next((stage.end_s for stage in self.stages if stage.end_s > t), t)

    def at(self, t: float, unit: float | None = None) -> tuple[int, float] | None:
        """What Locust wants to know: users and how fast to get there. None: the end.

        A user stands for `unit`. The spawn rate reaches any level of this profile within a second: Locust
        looks at nothing else while it spawns.
        """
        unit = unit or self.unit
        level = self.level(t)
        if level is None:
            return None
        return round(level / unit), float(max(1, math.ceil(self.steepest / unit)))

    def _parts(self) -> list[_Part]:
        low, high = self.levels[0], self.levels[-1]
        total_s = self.times_s[-1]
        match self.kind:
            case Kind.CONSTANT:
                return [_Part(name="constant", duration_s=total_s, begin=low, end=low)]
            case Kind.RAMP:
                return [_Part(name="ramp", duration_s=total_s, begin=low, end=high)]
            case Kind.STEPS:
                return [
                    _Part(name=f"step {number}", duration_s=time_s, begin=level, end=level)
                    for number, (level, time_s) in enumerate(zip(self.levels, self.times_s, strict=True), 1)
                ]
            case Kind.SPIKE:
                around_s = (total_s - self.times_s[0]) / 2
                return [
                    _Part(name="before", duration_s=around_s, begin=low, end=low),
                    _Part(name="spike", duration_s=self.times_s[0], begin=high, end=high),
                    _Part(name="after", duration_s=around_s, begin=low, end=low),
                ]
            case Kind.SOAK:
                ramp_s = min(total_s * SOAK_RAMP_SHARE, SOAK_RAMP_MAX_S)
                if len(self.times_s) > 1:
                    ramp_s = self.times_s[0]
                return [
                    _Part(name="rise", duration_s=ramp_s, begin=0.0, end=high),
                    _Part(name="soak", duration_s=total_s - ramp_s, begin=high, end=high),
                ]
            case Kind.SINE:
                return self._waves(low, high, self.times_s[0], total_s)

    def _waves(self, low: float, high: float, period_s: float, total_s: float) -> list[_Part]:
        return [
            _Part(name=f"period {number + 1}", duration_s=period_s, begin=low, end=high, wave=True)
            for number in range(round(total_s / period_s))
        ]

    def _check(self) -> None:
        for level in self.levels:
            if not 0 <= level <= 1e6:
                raise ProfileError(f"{level:g} is no level; it must be 0 to 1,000,000")
            if not self.is_rate and level != int(level):
                raise ProfileError(f"{level:g} is no number of users; write {level:g}/s for a rate")
        if not self.levels or max(self.levels) <= 0:
            raise ProfileError("the level is never above 0")
        for time_s in self.times_s:
            if not MIN_TIME_S <= time_s <= 365 * 86400:
                raise ProfileError(f"{time_s:g} s is too short or too long; it must be 1s to 365d")
        total_s = self.times_s[-1]
        if self.kind is Kind.SPIKE and total_s < self.times_s[0] + 2 * MIN_TIME_S:
            raise ProfileError("the spike must be at least 2 s shorter than the whole")
        if self.kind is Kind.SOAK and len(self.times_s) > 1 and total_s < self.times_s[0] + MIN_TIME_S:
            raise ProfileError("the ramp must be at least 1 s shorter than the whole")
        if self.kind is Kind.SINE:
            periods = total_s / self.times_s[0]
            if periods < 1 or not math.isclose(periods, round(periods), rel_tol=1e-9):
                raise ProfileError("the duration must be a whole number of periods")
            if round(periods) > MAX_STAGES:
                raise ProfileError(f"more than {MAX_STAGES} periods")
        if self.kind is Kind.STEPS and len(self.levels) > MAX_STAGES:
            raise ProfileError(f"more than {MAX_STAGES} steps")


def steps(pairs: Sequence[tuple[float | str, float | str]]) -> Profile:
    """`[(10, "1m"), ("5/s", 30)]` -> a profile: for locustfiles. Raises ProfileError."""
    return Profile.parse("steps " + ",".join(f"{level}:{time}" for level, time in pairs))
