"""The tables of `astrometer.toml`, and what is wrong with one that does not fit: place and cure."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from astrometer.config.exporter_settings import BucketsTable, ExporterTable
from astrometer.config.settings import did_you_mean
from astrometer.units import parse_duration


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_Seconds = Annotated[float, BeforeValidator(parse_duration), Field(gt=0, allow_inf_nan=False)]


class KeyTable(_Strict):
    env: str | None = None
    file: str | None = None
    scopes: list[str] | None = None
    id: str | None = None


class BudgetTable(_Strict):
    tokens_per_day: int | None = Field(default=None, ge=0)
    runs_per_day: int | None = Field(default=None, ge=0)


class TargetProbeTable(_Strict):
    interval: _Seconds | None = None
    timeout: _Seconds = 60.0
    connect: _Seconds = 10.0
    first_token: _Seconds | None = None
    idle: _Seconds = 30.0
    cleanup: _Seconds = 15.0
    enabled: bool = True
    schedule: bool = True
    options: dict[str, Any] = Field(default_factory=dict)


class ProbeTable(TargetProbeTable):
    targets: list[str] | None = None


class TargetTable(_Strict):
    url: str
    ca_file: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    insecure_skip_verify: bool = False
    keys: dict[str, KeyTable] = Field(default_factory=dict)
    budget: BudgetTable = Field(default_factory=BudgetTable)
    concurrency: int = Field(default=2, ge=1, le=100)
    probes: dict[str, TargetProbeTable] = Field(default_factory=dict)


class SloTable(_Strict):
    objectives: list[str] = Field(default_factory=list)


class FileTable(_Strict):
    targets: dict[str, TargetTable] = Field(default_factory=dict)
    probes: dict[str, ProbeTable] = Field(default_factory=dict)
    slo: SloTable = Field(default_factory=SloTable)
    state_dir: str | None = None
    exporter: ExporterTable = Field(default_factory=ExporterTable)


def explain(source: str, error: ValidationError) -> list[str]:
    """A line for each thing that is wrong."""
    lines = []
    for item in error.errors():
        place = ".".join(str(part) for part in item["loc"][:-1])
        last = str(item["loc"][-1]) if item["loc"] else ""
        if item["type"] == "extra_forbidden":
            hint = did_you_mean(last, _fields_at(item["loc"][:-1]))
            lines.append(f'{source}: {place or "top level"}: unknown key "{last}"{hint}')
        elif item["type"] == "missing":
            lines.append(f'{source}: {place}: "{last}" is missing')
        else:
            whole = ".".join(str(part) for part in item["loc"])
            lines.append(f"{source}: {whole}: {item['msg'].removeprefix('Value error, ')}")
    return lines


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    """The keys that may stand at a place of the file."""
    match location:
        case ():
            model: type[BaseModel] = FileTable
        case ("targets", _):
            model = TargetTable
        case ("targets", _, "keys", _):
            model = KeyTable
        case ("targets", _, "budget"):
            model = BudgetTable
        case ("targets", _, "probes", _):
            model = TargetProbeTable
        case ("probes", _):
            model = ProbeTable
        case ("exporter",):
            model = ExporterTable
        case ("exporter", "buckets"):
            model = BucketsTable
        case _:
            model = SloTable
    return list(model.model_fields)
