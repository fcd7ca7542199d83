"""The tables of `astrometer.toml`, and what is wrong with one that does not fit: place and cure."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from astrometer.config.exporter_settings import MAX_SERIES
from astrometer.config.notify_settings import HOLD_S
from astrometer.config.settings import ProbeSettings
from astrometer.suggestion import did_you_mean
from astrometer.units import parse_duration

DEFAULTS = ProbeSettings()


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
    timeout: _Seconds = DEFAULTS.timeout_s
    connect: _Seconds = DEFAULTS.connect_s
    first_token: _Seconds | None = DEFAULTS.first_token_s
    idle: _Seconds = DEFAULTS.idle_s
    cleanup: _Seconds = DEFAULTS.cleanup_s
    enabled: bool = DEFAULTS.enabled
    schedule: bool = DEFAULTS.schedule
    options: dict[str, Any] = Field(default_factory=dict)


class ProbeTable(TargetProbeTable):
    targets: list[str] | None = None


class MessengerTable(_Strict):
    url: str
    env: str | None = None
    file: str | None = None


class TargetTable(_Strict):
    url: str
    ca_file: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    insecure_skip_verify: bool = False
    keys: dict[str, KeyTable] = Field(default_factory=dict)
    budget: BudgetTable = Field(default_factory=BudgetTable)
    concurrency: int = Field(default=2, ge=1, le=100)
    messenger: MessengerTable | None = None
    probes: dict[str, TargetProbeTable] = Field(default_factory=dict)


class ExporterTable(_Strict):
    max_series: int = Field(default=MAX_SERIES, ge=1)
    min_interval: _Seconds | None = None


class SecretUrlTable(_Strict):
    """A URL, or where it is kept."""

    url: str | None = None
    env: str | None = None
    file: str | None = None


def _as_table(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


_SecretUrl = Annotated[SecretUrlTable, BeforeValidator(_as_table)]
_Wait = Annotated[float, BeforeValidator(parse_duration), Field(ge=0, allow_inf_nan=False)]


class NotifyTable(_Strict):
    """One `[[notify]]` as it stands in the file."""

    name: str
    webhook: _SecretUrl | None = None
    kuma: _SecretUrl | None = None
    apprise: _SecretUrl | None = None
    template: str | None = None
    min_severity: Literal["page", "ticket"] = "ticket"
    targets: list[str] | None = None
    after: _Wait = HOLD_S


class SloTable(_Strict):
    objectives: list[str] = Field(default_factory=list)


class FileTable(_Strict):
    targets: dict[str, TargetTable] = Field(default_factory=dict)
    probes: dict[str, ProbeTable] = Field(default_factory=dict)
    slo: SloTable = Field(default_factory=SloTable)
    state_dir: str | None = None
    exporter: ExporterTable = Field(default_factory=ExporterTable)
    notify: list[NotifyTable] = Field(default_factory=list)


def explain(source: str, error: ValidationError) -> list[str]:
    """A line for each thing that is wrong."""
    lines = []
    for item in error.errors():
        place = _place(item["loc"][:-1])
        last = str(item["loc"][-1]) if item["loc"] else ""
        if item["type"] == "extra_forbidden":
            hint = did_you_mean(last, _fields_at(item["loc"][:-1]))
            lines.append(f'{source}: {place or "top level"}: unknown key "{last}"{hint}')
        elif item["type"] == "missing":
            lines.append(f'{source}: {place}: "{last}" is missing')
        else:
            lines.append(f"{source}: {_place(item['loc'])}: {_cure(item['type'], item)}")
    return lines


def _place(location: tuple[int | str, ...]) -> str:
    """`slo.objectives[0]`, as a person counts a file's tables."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


def _cure(kind: str, item: Mapping[str, Any]) -> str:
    """What to write instead. Never shows the value, which may be a key."""
    match item["loc"]:
        case ("targets", _, "keys", *rest) if len(rest) < 2:
            return KEY_CURE
        case ("targets", *rest) if len(rest) < 2 and kind in TABLES:
            return 'write [targets.NAME] with url = "http://..."'
        case ("notify", *_) if kind in TABLES or kind == "list_type":
            return NOTIFY_CURE
    limits = item.get("ctx", {})
    if kind in TABLES:
        return f"must be a table: write [{_place(item['loc'])}]"
    if kind == "value_error":
        return str(item["msg"]).removeprefix("Value error, ")
    cure = next((text for prefix, text in CURES.items() if kind.startswith(prefix)), None)
    return cure.format(**limits) if cure is not None else str(item["msg"])


KEY_CURE = 'write { env = "NAME" } or { file = "PATH" }, never the key itself'
NOTIFY_CURE = (
    'write [[notify]] with name = "..." and webhook = "URL" or { env = "NAME" } or { file = "PATH" }'
)
TABLES = ("model_type", "model_attributes_type", "dict_type")
# The beginning of pydantic's word for an error -> what to do.
CURES = {
    "string_": 'must be text in quotes: "..."',
    "int_": "must be a whole number",
    "float_": "must be a number",
    "finite_number": "must be a number, not inf or nan",
    "bool_": "must be true or false",
    "list_type": 'must be a list: ["..."]',
    "greater_than_equal": "must be {ge} or more",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be {le} or less",
}


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    """The keys that may stand at a place of the file."""
    table: type[BaseModel] = FileTable
    parts = iter(location)
    for part in parts:
        if part in table.model_fields:
            annotation = table.model_fields[str(part)].annotation
            table = _table_in(annotation) or table
            if get_origin(annotation) in {dict, list}:
                next(parts, None)  # a name or a number, which may be that of a key as well
    return list(table.model_fields)


def _table_in(annotation: Any) -> type[BaseModel] | None:
    """That of `dict[str, Table]`, `list[Table]` or `Table | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_table_in, get_args(annotation))), None)
