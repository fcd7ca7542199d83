"""An installed AstrBot and the requirements of plugins -> an environment of its own with both.

A copy of the version's environment by hard links, so that both sides of a comparison have the same libraries
but for those of the plugins. What is installed into the copy leaves the original as it is.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from astrometer.targets.sandbox.install import MARKER, Installation, made_once, run_uv

_ASTRBOT = canonicalize_name("astrbot")


def with_libraries(
    base: Installation, requirements: Sequence[Path], say: Callable[[str], None] = lambda _: None
) -> Installation:
    """`base` itself where nothing is required. Raises InstallError."""
    if not requirements:
        return base
    digest = hashlib.sha256(b"\0".join(file.read_bytes() for file in requirements)).hexdigest()
    name = f"{base.directory.name}-plugins-{digest[:12]}"
    ready = Installation(version=base.version, directory=base.directory.with_name(name))

    def make(lock: int) -> dict[str, str]:
        say(f"installing {', '.join(str(file) for file in requirements)} beside AstrBot {base.version}")
        _copy(base, ready)
        pins = ready.directory / "astrbot-libraries.txt"
        pins.write_text("".join(f"{line}\n" for line in _pins(ready)), encoding="utf-8")
        command = ["pip", "install", "--quiet", "--python", str(ready.python), "-c", str(pins)]
        for file in requirements:
            command += ["-r", str(file)]
        run_uv(command, lock=lock)
        return {"version": base.version, "copy_of": base.directory.name}

    return made_once(ready, make, say)


def _copy(base: Installation, copy: Installation) -> None:
    shutil.copytree(
        base.directory,
        copy.directory,
        symlinks=True,
        copy_function=_link,
        ignore=shutil.ignore_patterns(MARKER),
    )
    script = copy.astrbot.read_text(encoding="utf-8")
    copy.astrbot.unlink()  # the link, not the original
    copy.astrbot.write_text(script.replace(str(base.directory), str(copy.directory)), encoding="utf-8")
    copy.astrbot.chmod(0o755)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)


def _pins(installation: Installation) -> list[str]:
    """AstrBot's own libraries as they are: AstrBot installs a plugin's with the same constraints.

    (`core_constraints.py` of 4.23 and later.)
    """
    places = [str(place) for place in installation.directory.glob("lib/python3*/site-packages")]
    found = {canonicalize_name(each.name): each for each in distributions(path=places)}
    needed = {canonicalize_name(Requirement(line).name) for line in found[_ASTRBOT].requires or ()}
    return [f"{name}=={found[name].version}" for name in sorted(needed & found.keys())]
