"""Config + probe files -> plans: which probe asks which target, how often, how long, with which options."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from astrometer.config.settings import Config, ConfigError, ProbeSettings, Target
from astrometer.probing.probe_files import Probe, line_in
from astrometer.probing.run_record import Limits
from astrometer.suggestion import did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One probe against one target, with what its config says."""

    target: Target
    probe: Probe
    limits: Limits = field(default_factory=Limits)
    interval_s: float = 60.0
    options: Mapping[str, Any] = field(default_factory=dict)
    schedule: bool = True  # False: only `/probe` asks it

    @property
    def is_scheduled(self) -> bool:
        return self.schedule and self.missing is None

    @property
    def has_price(self) -> bool:
        """Whether each run costs something: tokens, or what an option makes it cost, such as a message."""
        return self.probe.costs_tokens or any(self.options.get(name) for name in self.probe.priced_by)

    @property
    def place(self) -> tuple[str, str]:
        return self.target.name, self.probe.name

    @property
    def missing_scope(self) -> str | None:
        """A scope that the probe needs and no key of the target has."""
        return next((scope for scope in self.probe.scopes if self.target.key_for(scope) is None), None)

    @property
    def missing(self) -> str | None:
        """What the probe needs and the target has not got, for people; None: nothing."""
        if (scope := self.missing_scope) is not None:
            return f"no key of target {self.target.name} has the scope {scope}"
        if self.probe.needs_messenger and self.target.messenger is None:
            return (
                f"target {self.target.name} has no messenger: make an adapter for the probe with "
                f"`astrometer messenger setup`, or set targets.{self.target.name}.messenger "
                "(beside --host: ASTRBOT_MESSENGER_URL)"
            )
        return None


def make_plans(config: Config, probes: Mapping[str, Probe], also_known: Collection[str] = ()) -> list[Plan]:
    """Every enabled probe against every target it is meant for. Raises ConfigError.

    `also_known`: names that the config may have although no such probe is among `probes`.
    """
    for name in config.probes:
        if name not in probes and name not in also_known:
            raise ConfigError(f"{config.source}: probes.{name}: no such probe{did_you_mean(name, probes)}")
    for owner, name in config.target_probes:
        if name not in probes and name not in also_known:
            place = f"targets.{owner}.probes.{name}"
            raise ConfigError(f"{config.source}: {place}: no such probe{did_you_mean(name, probes)}")
    plans = []
    for target in config.targets.values():
        for name, probe in probes.items():
            settings = config.probe(name, target.name)
            if settings.enabled and (settings.targets is None or target.name in settings.targets):
                plans.append(_plan(config, target, probe, settings))
    return plans


def _plan(config: Config, target: Target, probe: Probe, settings: ProbeSettings) -> Plan:
    limits = Limits(
        total_s=settings.timeout_s,
        connect_s=settings.connect_s,
        first_token_s=settings.first_token_s or settings.timeout_s,
        idle_s=settings.idle_s,
        cleanup_s=settings.cleanup_s,
    )
    own = (target.name, probe.name) in config.target_probes
    place = f"targets.{target.name}.probes.{probe.name}" if own else f"probes.{probe.name}"
    return Plan(
        target=target,
        probe=probe,
        limits=limits,
        interval_s=settings.interval_s or probe.interval_s,
        schedule=settings.schedule,
        options=resolve(probe, settings.options, f"{config.source}: {place}.options"),
    )


def resolve(probe: Probe, given: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    """The probe's options with what the config gives. Raises ConfigError with place and cure."""
    chosen = dict(probe.options)
    for name, value in given.items():
        if name not in chosen:
            raise ConfigError(
                f'{place}: unknown option "{name}"{did_you_mean(name, chosen) or " (this probe has none)"}'
            )
        chosen[name] = _fitting(f"{place}.{name}", value, probe.options[name])
    try:
        probe.check(chosen)
    except ValueError as exc:
        raise ConfigError(f"{place}: {exc}") from exc
    except (Exception, SystemExit) as exc:  # a user's file may raise anything
        file = probe.check.__code__.co_filename
        raise ConfigError(f"{place}: {file}:{line_in(file, exc)}: {type(exc).__name__}: {exc}") from exc
    return MappingProxyType(chosen)


def _fitting(place: str, value: Any, default: Any) -> Any:
    """`value` if it has the kind of the default: a whole number will do for one with a fraction."""
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default):
        raise ConfigError(f"{place}: {_kind(default)} expected, like {default!r}, not {value!r}")
    return value


def _kind(value: Any) -> str:
    names = {str: "text", bool: "true or false", int: "a whole number", float: "a number", list: "a list"}
    return names.get(type(value), type(value).__name__)
