"""Options of `astrometer probe` -> settings, probe files and plans; read again at each reload."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from astrometer import bundled
from astrometer.cli import tls_note
from astrometer.config.loader import DEFAULT_FILE, load, target_from_options
from astrometer.config.settings import Config, ConfigError
from astrometer.probing.budget import Ledger
from astrometer.probing.plan import Plan, make_plans
from astrometer.probing.probe_files import Folder, load_folders

if TYPE_CHECKING:
    from astrometer.probing.exporter.reload import Loaded


def load_and_tell(config_file: Path | None) -> Config:
    """As config.load, with a line to stderr when a file found here beats what was exported."""
    config = load(config_file)
    if config_file is None and (ignored := ignored_variables(config, os.environ)):
        are, them = ("is", "it") if len(ignored) == 1 else ("are", "them")
        names = " and ".join(ignored)
        click.echo(f"settings from {config.source}; {names} {are} ignored (--host takes {them})", err=True)
    return config


def ignored_variables(config: Config, environ: Mapping[str, str]) -> list[str]:
    """Those of ASTRBOT_URL and ASTRBOT_API_KEY that say otherwise than the settings; none without a URL."""
    url, key = environ.get("ASTRBOT_URL"), environ.get("ASTRBOT_API_KEY")
    if config.source != DEFAULT_FILE or not url:
        return []
    targets = config.targets.values()
    keys = {known.secret.reveal() for target in targets for known in target.keys.values()}
    given = {"ASTRBOT_URL": url.rstrip("/"), "ASTRBOT_API_KEY": key and key.strip()}
    used = keys | {target.url.rstrip("/") for target in targets}
    return [name for name, value in given.items() if value and value not in used]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What the command line says about where settings and probes come from."""

    config_file: Path | None
    host: str | None
    target: str | None
    names: tuple[str, ...]
    folders: tuple[Path, ...]
    web_file: Path | None
    state_dir: Path | None

    def config(self) -> Config:
        """Raises ConfigError."""
        if self.host is not None:
            target = target_from_options(self.host, os.environ)
            config = Config(source="--host", targets={target.name: target})
        else:
            config = load_and_tell(self.config_file)
        if self.target is not None:
            chosen = config.target(self.target)
            own = {place: told for place, told in config.target_probes.items() if place[0] == chosen.name}
            config = replace(config, targets={chosen.name: chosen}, target_probes=own)
        tls_note.warn(config.targets.values())
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
                known = ", ".join(found.probes) or "none"
                raise ConfigError(f"--probe {name}: no such probe in {self._where} (there are: {known})")
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
