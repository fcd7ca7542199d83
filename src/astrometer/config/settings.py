"""Frozen settings: targets with named keys, probes, objectives. What `config` reads; no IO."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from astrometer.api.chat.chat_exchange import DEADLINES
from astrometer.config.exporter_settings import ExporterSettings
from astrometer.config.notify_settings import Receiver
from astrometer.config.secret import Secret
from astrometer.measure.slo.slo_parser import Objective
from astrometer.suggestion import did_you_mean
from astrometer.user_error import UserError
from astrometer.wire.tls import DEFAULT, TlsSettings

ALL_SCOPES = "*"
DEFAULT_FILE = "astrometer.toml"
ENVIRONMENT = "environment"  # the source of a configuration without a file


class ConfigError(UserError):
    """A setting that cannot be used: place and cure."""


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
class TargetMessenger:
    """A OneBot adapter of AstrBot that is there for probes alone: `ws://HOST:PORT/ws`, and its token."""

    url: str
    token: Secret = field(default_factory=lambda: Secret(""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One AstrBot server. `concurrency`: how many of its probes run at a time."""

    name: str
    url: str
    keys: Mapping[str, Key] = field(default_factory=lambda: MappingProxyType({}))
    budget: Budget = field(default_factory=Budget)
    # Every keyed request costs AstrBot some 40 ms of its only event loop.
    concurrency: int = 2
    tls: TlsSettings = DEFAULT
    messenger: TargetMessenger | None = None

    @property
    def secrets(self) -> list[str]:
        """What nobody may read in a log or on a page."""
        tokens = [] if self.messenger is None else [self.messenger.token.reveal()]
        return [*(key.secret.reveal() for key in self.keys.values()), *(token for token in tokens if token)]

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
    connect_s: float = DEADLINES.connect_s
    first_token_s: float | None = None
    idle_s: float = DEADLINES.idle_s
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
    notify: tuple[Receiver, ...] = ()

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
            raise ConfigError(f"{self.source}: no target {name!r}{did_you_mean(name, self.targets)}")
        return self.targets[name]
