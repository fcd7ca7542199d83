"""What one of the two sides is made of -> its installation, and what people call it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from astrometer.targets.sandbox.install import Installation
from astrometer.targets.sandbox.local import is_local

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SideSpec:
    """`astrbot`: a version, `latest`, a wheel or a checkout."""

    astrbot: str

    @property
    def is_local(self) -> bool:
        return is_local(self.astrbot)

    def label(self, version: str) -> str:
        """What tables and reports call this side, once its version is known."""
        if not self.is_local:
            return version
        return f"{version} ({Path(self.astrbot).expanduser().absolute().name})"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledSide:
    """One of the two, installed."""

    spec: SideSpec
    installation: Installation

    @property
    def label(self) -> str:
        return self.spec.label(self.installation.version)
