"""thresholds.toml -> frozen settings. Refused: a key that nothing reads, a bad duration, what cannot fire."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from astrometer.measure.tally.histogram import TTFT_BUCKETS_S
from astrometer.units import parse_duration

_DURATION = re.compile(r"\d+(ms|[smhdw])")


class ThresholdsError(ValueError):
    """A setting that cannot be used: place and cure."""


def seconds(duration: str) -> float:
    return parse_duration(duration)


def duration(span_s: float) -> str:
    """1200.0 -> `20m`."""
    whole = round(span_s)
    size, unit = next(
        pair for pair in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")) if whole % pair[0] == 0
    )
    return f"{whole // size}{unit}"


def _duration(text: str) -> str:
    if not _DURATION.fullmatch(text) or seconds(text) <= 0:
        raise ValueError(f"{text!r} is not a duration of one unit, like 30s, 5m or 3d")
    return text


def _limit(value: str | float) -> str | float:
    if isinstance(value, str):
        return _duration(value)
    if value <= 0:
        raise ValueError(f"{value:g} is not positive")
    return value


def _boundary(limit_s: float) -> float:
    if limit_s not in TTFT_BUCKETS_S:
        known = ", ".join(f"{bound:g}" for bound in TTFT_BUCKETS_S)
        raise ValueError(f"{limit_s:g} is no boundary of the exporter's histogram (there are: {known})")
    return limit_s


Duration = Annotated[str, AfterValidator(_duration)]
Share = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Labels(_Table):
    keep: tuple[str, ...]


class Runbooks(_Table):
    url: str


class Evaluation(_Table):
    short: Duration
    long: Duration


class Slo(_Table):
    budget_window: Duration
    availability: Share
    llm: Share
    ttft: Share
    ttft_seconds: Annotated[float, AfterValidator(_boundary)]


class Burn(_Table):
    for_: Duration = Field(alias="for")
    keep_firing_for: Duration | None = None
    severity: Literal["page", "ticket"]
    factor: Positive
    long: Duration
    short: Duration


class Guard(_Table):
    min_failures: Count


class Quantiles(_Table):
    p50: tuple[Duration, ...]
    p95: tuple[Duration, ...]


class Degraded(_Table):
    window: Duration
    before: Duration
    factor: Annotated[float, Field(gt=1)]
    min_seconds: Positive
    for_: Duration = Field(alias="for")


class AlertTable:
    """The table of one alert: the keys that the alert reads (`for_` is `for`), and no others."""

    def __init__(self, place: str, values: Mapping[str, str | float]) -> None:
        self._place, self._values = place, values
        self._read: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        key = name.removesuffix("_")
        if key not in self._values:
            raise ThresholdsError(f"{self._place}.{key}: missing")
        self._read.add(key)
        return self._values[key]

    def unread(self) -> list[str]:
        return [f"{self._place}.{key}: unknown key" for key in self._values if key not in self._read]


class Thresholds(_Table):
    """What several rules share, and by the name of its table what one alert reads: `t.down.for_`."""

    labels: Labels
    runbooks: Runbooks
    evaluation: Evaluation
    slo: Slo
    burn: tuple[Burn, ...]
    guard: Guard
    quantiles: Quantiles
    degraded: Degraded
    alerts: dict[str, dict[str, Annotated[str | float, AfterValidator(_limit)]]]
    source: str
    _tables: dict[str, AlertTable] = PrivateAttr(default_factory=dict)

    def __getattr__(self, name: str) -> AlertTable:
        """An alert's table. Raises ThresholdsError."""
        if name.startswith("_"):  # pydantic's own
            return super().__getattr__(name)
        if name not in self.alerts:
            raise ThresholdsError(f"{self.source}: {name}: missing")
        return self._tables.setdefault(name, AlertTable(f"{self.source}: {name}", self.alerts[name]))

    def refuse_unread(self) -> None:
        """Raises ThresholdsError for what no rule has read."""
        unread = [line for name in self.alerts for line in getattr(self, name).unread()]
        if unread:
            raise ThresholdsError("\n".join(unread))

    @model_validator(mode="after")
    def _every_burn_can_happen(self) -> "Thresholds":
        for burn in self.burn:
            for name in ("availability", "llm", "ttft"):
                share = burn.factor * (1 - getattr(self.slo, name))
                if share >= 1:
                    raise ValueError(
                        f"burn factor {burn.factor:g} with slo.{name} = {getattr(self.slo, name):g} asks for "
                        f"{share:.0%} bad runs and can never fire; lower the factor or raise the objective"
                    )
            if seconds(burn.short) >= seconds(burn.long):
                raise ValueError(f"burn {burn.long}: its short window {burn.short} is not shorter")
        return self

    @model_validator(mode="after")
    def _degraded_has_its_quantiles(self) -> "Thresholds":
        missing = {self.degraded.window, self.degraded.before} - set(self.quantiles.p50)
        if missing:
            raise ValueError(f"degraded compares medians: add {', '.join(sorted(missing))} to quantiles.p50")
        return self

    @property
    def windows(self) -> list[str]:
        """Every window over which ratios are recorded, shortest first."""
        named = {self.slo.budget_window}.union(*({burn.long, burn.short} for burn in self.burn))
        return sorted(named, key=seconds)

    def by(self, *more: str) -> str:
        """The labels of an aggregation, as PromQL writes them."""
        return ", ".join((*self.labels.keep, *more))


def load(path: Path) -> Thresholds:
    """Raises ThresholdsError, which names the file, the place and the cure."""
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
        shared = {name: tables.pop(name) for name in Thresholds.model_fields if name in tables}
        return Thresholds.model_validate({**shared, "alerts": tables, "source": str(path)})
    except OSError as exc:
        raise ThresholdsError(f"{path}: cannot be read ({exc.strerror})") from exc
    except tomllib.TOMLDecodeError as exc:
        raise ThresholdsError(f"{path}: is not valid TOML: {exc}") from exc
    except ValidationError as exc:
        lines = []
        for item in exc.errors():
            place = ".".join(str(part) for part in item["loc"] if part != "alerts")
            text = "unknown key" if item["type"] == "extra_forbidden" else item["msg"]
            lines.append(": ".join(filter(None, (str(path), place, text.removeprefix("Value error, ")))))
        raise ThresholdsError("\n".join(lines)) from None
