"""Options of `astrometer probe` -> settings, probe files and plans; read again at each reload."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from astrometer import bundled
from astrometer.cli.shared.server_options import Server, warn_of_unverified
from astrometer.config.settings import Config, ConfigError
from astrometer.probing.budget import Ledger
from astrometer.probing.plan import Plan, make_plans
from astrometer.probing.probe_files import Folder, load_folders
from astrometer.suggestion import did_you_mean

if TYPE_CHECKING:
    from astrometer.probing.exporter.reload import Loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What the command line says about where settings and probes come from."""

    server: Server
    names: tuple[str, ...]
    folders: tuple[Path, ...]
    web_file: Path | None
    state_dir: Path | None

    def config(self) -> Config:
        """Raises ConfigError."""
        config = self.server.config()
        warn_of_unverified(config.targets.values())
        return replace(config, state_dir=self._state_dir(config))

    def _state_dir(self, config: Config) -> Path | None:
        # systemd sets STATE_DIRECTORY for a service with StateDirectory=.
        given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
        return self.state_dir or config.state_dir or (Path(given) if given else None)

    def probes(self) -> Folder:
        return load_folders(self.folders)

    def plans(self, config: Config, found: Folder) -> list[Plan]:
        """Raises ConfigError."""
        for name in self.names:
            if name not in found.probes:
                hint = did_you_mean(name, found.probes)
                raise ConfigError(f"--probe {name}: no such probe in {self._where}{hint}")
        plans = make_plans(config, found.probes, also_known=bundled.names("probes"))
        chosen = [plan for plan in plans if not self.names or plan.probe.name in self.names]
        if not chosen:
            raise ConfigError(f"nothing to probe: {config.source} leaves no probe of {self._where} enabled")
        return chosen

    def read(self) -> "Loaded":
        """Everything for the exporter. Raises ConfigError."""
        from astrometer.probing.daily_cost import daily_costs
        from astrometer.probing.exporter.reload import Loaded
        from astrometer.probing.exporter.series import check_limit
        from astrometer.probing.exporter.web_config import WebConfig, load_web_config

        config = self.config()
        found = self.probes()
        plans = self.plans(config, found)
        return Loaded(
            config=config,
            plans=tuple(plans),
            web=load_web_config(self.web_file) if self.web_file else WebConfig(),
            broken=tuple(f"not a probe, left out: {item.problem}" for item in found.broken),
            series=check_limit(config, plans),
            costs=tuple(daily_costs(plans, Ledger(config.state_dir))),
        )

    @property
    def _where(self) -> str:
        return ", ".join(map(str, self.folders))
