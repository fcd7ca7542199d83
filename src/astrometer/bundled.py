"""Where the locustfiles and probes are: beside the sources in a checkout, inside the package in a wheel."""

import importlib.util
from pathlib import Path
from typing import Literal

from astrometer.suggestion import probably
from astrometer.user_error import UserError

Folder = Literal["locustfiles", "probes"]


def folder(name: Folder) -> Path:
    """The directory of the bundled files. Raises UserError when the installation lacks it."""
    spec = importlib.util.find_spec("astrometer")
    package = Path(spec.origin).parent if spec is not None and spec.origin else Path(__file__).parent
    candidates = (package / "_bundled" / name, package.parents[1] / name)
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise UserError(f"this installation of astrometer has no {name}")


def names(name: Folder) -> list[str]:
    """What can be asked for by name, without `.py`; files that start with `_` are helpers."""
    return sorted(path.stem for path in folder(name).glob("*.py") if not path.name.startswith("_"))


def find(name: Folder, wanted: str) -> Path:
    """A bundled file by its name, or any `.py` file by its path. Raises UserError."""
    if wanted.endswith(".py"):
        path = Path(wanted)
        if path.is_file():
            return path
        raise UserError(f"{wanted}: no such file")
    known = names(name)
    if wanted in known:
        return folder(name) / f"{wanted}.py"
    raise UserError(f"{wanted!r} is none of {', '.join(known)}, nor a .py file{probably(wanted, known)}")
