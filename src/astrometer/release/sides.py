"""What one of the two sides is made of -> its installation, and what people call it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from astrometer.targets.sandbox.astrbot_plugin import AstrBotPlugin
from astrometer.targets.sandbox.config_patch import ConfigPatch
from astrometer.targets.sandbox.install import Installation
from astrometer.targets.sandbox.local import is_local

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SideSpec:
    """`astrbot`: a version, `latest`, a wheel or a checkout."""

    astrbot: str
    plugins: Sequence[AstrBotPlugin] = ()
    config_patch: ConfigPatch | None = None

    @property
    def is_local(self) -> bool:
        return is_local(self.astrbot)

    @property
    def requirements(self) -> list[Path]:
        return [plugin.requirements for plugin in self.plugins if plugin.requirements is not None]

    def label(self, version: str) -> str:
        """What tables and reports call this side, once its version is known: `4.29.3 + plugin hello`."""
        parts = [
            f"{version} ({Path(self.astrbot).expanduser().absolute().name})" if self.is_local else version
        ]
        parts += [f"plugin {plugin.name}" for plugin in self.plugins]
        parts += [] if self.config_patch is None else [f"config {self.config_patch.name}"]
        return " + ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledSide:
    spec: SideSpec
    installation: Installation

    @property
    def label(self) -> str:
        return self.spec.label(self.installation.version)
