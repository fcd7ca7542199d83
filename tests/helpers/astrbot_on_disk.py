"""An installed AstrBot -> one whose code a test may change, as an update does; the cache stays as it is."""

import re
import shutil
from pathlib import Path

from astrometer.targets.sandbox.install import Installation

CODE = Path("astrbot/__init__.py")


def own_code(installed: Installation, folder: Path) -> Installation:
    """AstrBot's own package is a copy, its libraries are those of the cache."""
    (packages,) = installed.directory.glob("lib/python*/site-packages")
    own = folder / packages.relative_to(installed.directory)
    own.mkdir(parents=True)
    shutil.copytree(packages / "astrbot", own / "astrbot")
    (own / "libraries.pth").write_text(f"{packages}\n")
    shutil.copy(installed.directory / "pyvenv.cfg", folder)
    made = Installation(version=installed.version, directory=folder)
    made.python.parent.mkdir()
    made.python.symlink_to(installed.python)
    _, _, script = installed.astrbot.read_text("utf-8").partition("\n")
    made.astrbot.write_text(f"#!{made.python}\n{script}")
    made.astrbot.chmod(0o755)
    return made


def update(installed: Installation, version: str) -> None:
    """The code on disk is `version` from now on."""
    (packages,) = installed.directory.glob("lib/python*/site-packages")
    code = packages / CODE
    code.write_text(re.sub(r'__version__ = ".*"', f'__version__ = "{version}"', code.read_text("utf-8")))
