"""The config files, read again -> the exporter's new settings; a bad one changes nothing."""

from collections.abc import Callable
from dataclasses import dataclass, field

from astrometer.config.settings import Config, ConfigError
from astrometer.probing.daily_cost import DailyCost
from astrometer.probing.exporter.exporter_app import Exporter
from astrometer.probing.exporter.web_config import WebConfig
from astrometer.probing.plan import Plan
from astrometer.probing.schedule import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Everything that the files say. `broken` names the probe files that were left out, and why."""

    config: Config
    plans: tuple[Plan, ...]
    web: WebConfig = field(default_factory=WebConfig)
    broken: tuple[str, ...] = ()
    series: int = 0
    costs: tuple[DailyCost, ...] = ()

    @property
    def summary(self) -> str:
        known = [plan for plan in self.plans if plan.missing is None or plan.missing_scope is not None]
        targets, plans = len(self.config.targets), sum(plan.schedule for plan in known)
        asked = sum(plan.is_scheduled for plan in self.plans)
        text = (
            f"{self.config.source}: {targets} target{'s' * (targets != 1)}, "
            f"{plans} probe run{'s' * (plans != 1)} each round, at most {self.series:,} series"
        )
        if self.costs:
            text += f", about {sum(cost.tokens for cost in self.costs):,} tokens a day"
        return text if asked == plans else f"{text}; {plans - asked} without a key"


Read = Callable[[], Loaded]


class Reloader:
    """Reads with `read`, which raises ConfigError, and hands what it got to everybody."""

    def __init__(
        self, exporter: Exporter, schedule: Schedule, read: Read, say: Callable[[str], None]
    ) -> None:
        self._exporter = exporter
        self._schedule = schedule
        self._read = read
        self._say = say

    def reload(self) -> tuple[bool, str]:
        """Whether the new settings are in force, and what to tell whoever asked for it."""
        try:
            loaded = self._read()
            self._check(loaded.config)
            self._exporter.guard.check(loaded.web)
        except ConfigError as exc:
            self._exporter.own.reloaded(ok=False)
            said = f"{exc}\nnot reloaded: the settings in force stay"
            self._say(f"reload failed: {exc}")
            return False, said
        self._exporter.guard.take(loaded.web)
        self._exporter.take(loaded.config, loaded.plans)
        self._schedule.update(loaded.plans)
        self._exporter.own.reloaded(ok=True)
        said = "\n".join([f"reloaded {loaded.summary}", *loaded.broken])
        self._say(said)
        return True, said

    def _check(self, config: Config) -> None:
        """What cannot change while running. Raises ConfigError."""
        now = self._exporter.config
        if config.exporter.buckets != now.exporter.buckets:
            raise ConfigError(
                f"{config.source}: slo.objectives has other limits: a histogram keeps its boundaries; restart"
            )
        if config.state_dir != now.state_dir:
            raise ConfigError(f"{config.source}: state_dir is another: restart")
