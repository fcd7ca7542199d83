"""thresholds.toml -> frozen settings. Refused: an unknown key, a bad duration, an alert that cannot fire."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

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


class _Lasting(_Table):
    for_: Duration = Field(alias="for")


class _Kept(_Lasting):
    keep_firing_for: Duration


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


class Burn(_Lasting):
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


class Window(_Table):
    window: Duration


class Counted(Window):
    count: Count


class WindowFor(Window, _Lasting):
    pass


class WindowKept(Window, _Kept):
    pass


class CountedKept(Counted, _Kept):
    pass


class Degraded(WindowFor):
    before: Duration
    factor: Annotated[float, Field(gt=1)]
    min_seconds: Positive


class Stale(_Lasting):
    intervals: Annotated[float, Field(ge=1)]
    grace: Duration
    skipped_within: Duration


class Absent(_Lasting):
    lookback: Duration
    exporter_lookback: Duration


class CertExpiry(_Lasting):
    page_days: Positive
    ticket_days: Positive


class LoopLag(_Lasting):
    seconds: Positive


class Thresholds(_Table):
    labels: Labels
    runbooks: Runbooks
    evaluation: Evaluation
    slo: Slo
    burn: tuple[Burn, ...]
    guard: Guard
    quantiles: Quantiles
    down: _Kept
    partly_down: _Kept
    not_restarted: _Lasting
    degraded: Degraded
    scope_leak: Window
    key_rejected: WindowKept
    canary_mismatch: Counted
    truncated: Counted
    stalled: Counted
    messenger_silent: CountedKept
    messenger_link_down: CountedKept
    cleanup_failing: Counted
    budget_exhausted: WindowFor
    stale: Stale
    absent: Absent
    reload_failed: _Lasting
    cert_expiry: CertExpiry
    loop_lag: LoopLag

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
        return Thresholds.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as exc:
        raise ThresholdsError(f"{path}: cannot be read ({exc.strerror})") from exc
    except tomllib.TOMLDecodeError as exc:
        raise ThresholdsError(f"{path}: is not valid TOML: {exc}") from exc
    except ValidationError as exc:
        lines = []
        for item in exc.errors():
            place = ".".join(str(part) for part in item["loc"])
            text = "unknown key" if item["type"] == "extra_forbidden" else item["msg"]
            lines.append(": ".join(filter(None, (str(path), place, text.removeprefix("Value error, ")))))
        raise ThresholdsError("\n".join(lines)) from None
