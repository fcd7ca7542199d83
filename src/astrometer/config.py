"""TOML and environment -> frozen settings: targets with named keys, probes, objectives.

Secrets come from the environment or from files, never from the TOML itself. A key belongs to one target.
Every error names the file, the place in it and the cure.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from astrometer.api.endpoints import SCOPES, SUB_SCOPES
from astrometer.exporter_settings import BucketsTable, ExporterSettings, ExporterTable
from astrometer.exporter_settings import build as build_exporter
from astrometer.measure.objectives import Objective, ObjectiveError, parse_objective
from astrometer.units import parse_duration

DEFAULT_FILE = "astrometer.toml"
ALL_SCOPES = "*"
KNOWN_SCOPES = (*SCOPES, *SUB_SCOPES, ALL_SCOPES)


class ConfigError(ValueError):
    """A setting that cannot be used: place and cure."""


class Secret:
    """A key's text; shows itself to nobody by accident."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An API key of one target. `scopes` None: not said.

    `id` is AstrBot's own id of the key; on 4.26 to 4.28 cleaning up needs it.
    """

    name: str
    secret: Secret
    scopes: frozenset[str] | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What the probes of one target may spend in a UTC day; None: as much as they like."""

    tokens_per_day: int | None = None
    runs_per_day: int | None = None  # of probes that cost tokens

    @property
    def is_endless(self) -> bool:
        return self.tokens_per_day is None and self.runs_per_day is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One AstrBot server. `concurrency`: how many of its probes run at a time."""

    name: str
    url: str
    keys: Mapping[str, Key] = field(default_factory=lambda: MappingProxyType({}))
    budget: Budget = field(default_factory=Budget)
    # Every keyed request costs AstrBot some 40 ms of its only event loop.
    concurrency: int = 2

    def key_for(self, scope: str) -> Key | None:
        """The key to use for `scope`: the first whose stated scopes have it, else one that states none."""
        stated = [
            key for key in self.keys.values() if key.scopes is not None and key.scopes & {scope, ALL_SCOPES}
        ]
        open_ = [key for key in self.keys.values() if key.scopes is None]
        return next(iter([*stated, *open_]), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSettings:
    """How often a probe runs and how long it may take (seconds); `options` are the probe's own.

    `interval_s` None: as the probe file says. `first_token_s` None: as long as the whole run may take.
    """

    interval_s: float | None = None
    timeout_s: float = 60.0
    connect_s: float = 10.0
    first_token_s: float | None = None
    idle_s: float = 30.0
    cleanup_s: float = 15.0
    enabled: bool = True
    schedule: bool = True  # False: asked by `/probe` only
    targets: tuple[str, ...] | None = None  # None: all
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that a command may need. `source` is where it came from, for messages."""

    source: str
    targets: Mapping[str, Target]
    probes: Mapping[str, ProbeSettings] = field(default_factory=lambda: MappingProxyType({}))
    objectives: tuple[Objective, ...] = ()
    # By target and probe: what [targets.NAME.probes.PROBE] changes, over what [probes.PROBE] says.
    target_probes: Mapping[tuple[str, str], ProbeSettings] = field(
        default_factory=lambda: MappingProxyType({})
    )
    state_dir: Path | None = None
    exporter: ExporterSettings = field(default_factory=ExporterSettings)

    def probe(self, name: str, target: str | None = None) -> ProbeSettings:
        """The settings of the probe called `name` (on `target`); the defaults when nothing is said."""
        own = self.target_probes.get((target, name)) if target is not None else None
        return own or self.probes.get(name, ProbeSettings())

    def target(self, name: str | None = None) -> Target:
        """The target called `name`, or the only one. Raises ConfigError."""
        if name is None and len(self.targets) == 1:
            return next(iter(self.targets.values()))
        if name is None:
            raise ConfigError(f"{self.source}: several targets; choose one of {', '.join(self.targets)}")
        if name not in self.targets:
            raise ConfigError(f"{self.source}: no target {name!r}{_did_you_mean(name, self.targets)}")
        return self.targets[name]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_Seconds = Annotated[float, BeforeValidator(parse_duration), Field(gt=0, allow_inf_nan=False)]


class _Key(_Strict):
    env: str | None = None
    file: str | None = None
    scopes: list[str] | None = None
    id: str | None = None


class _Budget(_Strict):
    tokens_per_day: int | None = Field(default=None, ge=0)
    runs_per_day: int | None = Field(default=None, ge=0)


class _TargetProbe(_Strict):
    interval: _Seconds | None = None
    timeout: _Seconds = 60.0
    connect: _Seconds = 10.0
    first_token: _Seconds | None = None
    idle: _Seconds = 30.0
    cleanup: _Seconds = 15.0
    enabled: bool = True
    schedule: bool = True
    options: dict[str, Any] = Field(default_factory=dict)


class _Probe(_TargetProbe):
    targets: list[str] | None = None


class _Target(_Strict):
    url: str
    keys: dict[str, _Key] = Field(default_factory=dict)
    budget: _Budget = Field(default_factory=_Budget)
    concurrency: int = Field(default=2, ge=1, le=100)
    probes: dict[str, _TargetProbe] = Field(default_factory=dict)


class _Slo(_Strict):
    objectives: list[str] = Field(default_factory=list)


class _File(_Strict):
    targets: dict[str, _Target] = Field(default_factory=dict)
    probes: dict[str, _Probe] = Field(default_factory=dict)
    slo: _Slo = Field(default_factory=_Slo)
    state_dir: str | None = None
    exporter: ExporterTable = Field(default_factory=ExporterTable)


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """Read `path`, or `astrometer.toml` here if there is one, or ASTRBOT_URL and ASTRBOT_API_KEY.

    Raises ConfigError.
    """
    environ = os.environ if environ is None else environ
    if path is None and Path(DEFAULT_FILE).is_file():
        path = Path(DEFAULT_FILE)
    if path is None:
        return _from_environment(environ)
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read ({exc.strerror})") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path}: is not valid TOML: {exc}") from exc
    try:
        parsed = _File.model_validate(raw)
    except ValidationError as exc:
        raise ConfigError("\n".join(_explain(str(path), exc))) from None
    return _build(parsed, path, environ)


def target_from_options(url: str, environ: Mapping[str, str]) -> Target:
    """A target given by its URL, with the key of ASTRBOT_API_KEY or of the file ASTRBOT_API_KEY_FILE.

    ASTRBOT_API_KEY_ID: AstrBot's own id of that key.
    """
    keys = {}
    own_id = environ.get("ASTRBOT_API_KEY_ID") or None
    text = environ.get("ASTRBOT_API_KEY")
    file = environ.get("ASTRBOT_API_KEY_FILE")
    if text:
        keys["default"] = Key(name="default", secret=_secret(text, "ASTRBOT_API_KEY"), id=own_id)
    elif file:
        secret = _read_secret(Path(file), "ASTRBOT_API_KEY_FILE")
        keys["default"] = Key(name="default", secret=secret, id=own_id)
    return Target(name="default", url=_url(url, "ASTRBOT_URL"), keys=MappingProxyType(keys))


def _from_environment(environ: Mapping[str, str]) -> Config:
    url = environ.get("ASTRBOT_URL")
    if not url:
        raise ConfigError(
            f"no target: write {DEFAULT_FILE}, or set ASTRBOT_URL and ASTRBOT_API_KEY "
            "(or ASTRBOT_API_KEY_FILE)"
        )
    return Config(source="environment", targets={"default": target_from_options(url, environ)})


def _build(parsed: _File, path: Path, environ: Mapping[str, str]) -> Config:
    targets = {}
    for name, target in parsed.targets.items():
        place = f"{path}: targets.{name}"
        keys = {
            key: _key(f"{place}.keys.{key}", key, item, path, environ) for key, item in target.keys.items()
        }
        targets[name] = Target(
            name=name,
            url=_url(target.url, f"{place}.url"),
            keys=MappingProxyType(keys),
            budget=Budget(**target.budget.model_dump()),
            concurrency=target.concurrency,
        )
    if not targets:
        raise ConfigError(f'{path}: no targets; add [targets.NAME] with url = "http://..."')
    probes = {}
    for name, probe in parsed.probes.items():
        for wanted in probe.targets or ():
            if wanted not in targets:
                raise ConfigError(
                    f"{path}: probes.{name}.targets: no target {wanted!r}{_did_you_mean(wanted, targets)}"
                )
        probes[name] = _probe_settings(probe)
    objectives = []
    for index, text in enumerate(parsed.slo.objectives):
        try:
            objectives.append(parse_objective(text))
        except ObjectiveError as exc:
            raise ConfigError(f"{path}: slo.objectives[{index}]: {exc}") from exc
    try:
        exporter = build_exporter(parsed.exporter, objectives)
    except ValueError as exc:
        raise ConfigError(f"{path}: exporter.{exc}") from exc
    return Config(
        source=str(path),
        targets=MappingProxyType(targets),
        probes=MappingProxyType(probes),
        objectives=tuple(objectives),
        exporter=exporter,
        target_probes=MappingProxyType(
            {
                (target, name): _probe_settings(parsed.probes.get(name, _Probe()), own)
                for target, item in parsed.targets.items()
                for name, own in item.probes.items()
            }
        ),
        state_dir=path.parent / parsed.state_dir if parsed.state_dir is not None else None,
    )


def _probe_settings(common: _Probe, own: _TargetProbe | None = None) -> ProbeSettings:
    """`own` replaces what it names; of `options` one by one."""
    told = common.model_dump()
    if own is not None:
        changes = own.model_dump(exclude_unset=True)
        told = {**told, **changes, "options": {**told["options"], **changes.get("options", {})}}
    return ProbeSettings(
        interval_s=told["interval"],
        timeout_s=told["timeout"],
        connect_s=told["connect"],
        first_token_s=told["first_token"],
        idle_s=told["idle"],
        cleanup_s=told["cleanup"],
        enabled=told["enabled"],
        schedule=told["schedule"],
        targets=tuple(told["targets"]) if told["targets"] is not None else None,
        options=MappingProxyType(told["options"]),
    )


def _key(place: str, name: str, item: _Key, path: Path, environ: Mapping[str, str]) -> Key:
    if (item.env is None) == (item.file is None):
        raise ConfigError(f'{place}: say where the key is: env = "NAME" or file = "PATH" (one of the two)')
    if item.env is not None:
        text = environ.get(item.env)
        if not text:
            raise ConfigError(f"{place}.env: the environment variable {item.env} is not set")
        secret = _secret(text, place)
    else:
        secret = _read_secret(path.parent / str(item.file), f"{place}.file")
    for scope in item.scopes or ():
        if scope not in KNOWN_SCOPES:
            raise ConfigError(f"{place}.scopes: no scope {scope!r}{_did_you_mean(scope, KNOWN_SCOPES)}")
    scopes = frozenset(item.scopes) if item.scopes is not None else None
    return Key(name=name, secret=secret, scopes=scopes, id=item.id)


def _read_secret(path: Path, place: str) -> Secret:
    try:
        return _secret(path.read_text("utf-8"), place)
    except OSError as exc:
        raise ConfigError(f"{place}: {path} cannot be read ({exc.strerror})") from exc
    except UnicodeDecodeError:
        raise ConfigError(f"{place}: {path} is not a text file") from None


def _secret(text: str, place: str) -> Secret:
    # Files end with a line break, and Kubernetes makes variables of files.
    text = text.strip()
    # It goes into a header: a line break would be a second header.
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigError(
            f"{place}: not an API key (empty, or with spaces, line breaks or non-ASCII letters)"
        )
    return Secret(text)


def _url(url: str, place: str) -> str:
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        port_is_fine = False
    if not port_is_fine or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{place}: {url!r} is not a URL like http://127.0.0.1:6185")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(f"{place}: only scheme, host, port and path; keys go into [targets.NAME.keys]")
    return url.rstrip("/")


def _explain(source: str, error: ValidationError) -> list[str]:
    lines = []
    for item in error.errors():
        place = ".".join(str(part) for part in item["loc"][:-1])
        last = str(item["loc"][-1]) if item["loc"] else ""
        if item["type"] == "extra_forbidden":
            hint = _did_you_mean(last, _fields_at(item["loc"][:-1]))
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
            model: type[BaseModel] = _File
        case ("targets", _):
            model = _Target
        case ("targets", _, "keys", _):
            model = _Key
        case ("targets", _, "budget"):
            model = _Budget
        case ("targets", _, "probes", _):
            model = _TargetProbe
        case ("probes", _):
            model = _Probe
        case ("exporter",):
            model = ExporterTable
        case ("exporter", "buckets"):
            model = BucketsTable
        case _:
            model = _Slo
    return list(model.model_fields)


def _did_you_mean(name: str, known: Any) -> str:
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f' (did you mean "{close[0]}"?)'
    return f" (there are: {', '.join(known)})" if known else ""
