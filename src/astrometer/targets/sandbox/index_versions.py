"""The package index that the user configured -> which versions of AstrBot there are."""

import re
from collections.abc import Callable
from pathlib import Path

from packaging.version import InvalidVersion, Version

from astrometer.targets.sandbox.find_python import find_python
from astrometer.targets.sandbox.install import InstallError, run_uv

Say = Callable[[str], None]


def latest_version(say: Say = lambda _: None) -> str:
    """The newest AstrBot on the index. Raises InstallError, NoPythonError."""
    say("asking the package index for the newest AstrBot")
    found = _newest("astrbot", find_python())
    if found is None:
        raise InstallError("the package index names no version of astrbot")
    return found


def versions_between(one: str, other: str, say: Say = lambda _: None) -> list[str]:
    """All from the one to the other, both included, in this order. Raises InstallError, NoPythonError.

    uv has no list of versions: the newest one below the one before is asked for, again and again. So there
    are no yanked ones, and pre-releases only next to an end that is one.
    """
    try:
        low, high = sorted((Version(one), Version(other)))
    except InvalidVersion as exc:
        raise InstallError(f"{exc}: expected a version such as 4.29.3") from exc
    say(f"asking the package index for the versions of AstrBot from {low} to {high}")
    found: list[str] = []
    python = find_python()
    at = _newest(f"astrbot<={high}", python)
    while at is not None and Version(at) >= low:
        found.append(at)
        at = _newest(f"astrbot<{at}", python)
    for wanted in (low, high):
        if wanted not in map(Version, found):
            raise InstallError(f"the package index has no AstrBot {wanted}")
    return found if Version(one) > Version(other) else found[::-1]


def _newest(requirement: str, python: Path) -> str | None:
    """The version that uv would install. Raises InstallError."""
    command = ["pip", "compile", "-", "--no-deps", "--no-header", "--no-annotate", "--quiet"]
    answer = run_uv([*command, "--python", str(python)], stdin=f"{requirement}\n", timeout_s=120)
    match = re.search(r"^astrbot==(\S+)", answer, re.MULTILINE)
    return match[1] if match else None
