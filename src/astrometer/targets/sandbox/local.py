"""A wheel or a checkout of AstrBot on this machine -> what to install, its version, and a name for the cache.

The name holds a digest of the content, so that an edited checkout is installed anew, an unchanged one not.
"""

import hashlib
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_WHEEL = re.compile(r"[Aa]str[Bb]ot-(?P<version>\d+\.\d+\.\d+[^-]*)-.+\.whl")
_NOT_SOURCE = {".git", ".venv", "venv", "node_modules", "__pycache__", "data", "temp", ".ruff_cache"}


class LocalError(ValueError):
    """A path that holds no AstrBot; the text says what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSource:
    """Something to install from this machine."""

    path: Path  # absolute
    version: str
    digest: str

    @property
    def cache_name(self) -> str:
        return f"{self.version}-local-{self.digest[:12]}"


def is_local(spec: str) -> bool:
    """Whether a version is meant as a path: `./AstrBot`, `dist/astrbot-4.30.0-py3-none-any.whl`."""
    return os.sep in spec or spec.endswith(".whl") or spec.startswith((".", "~"))


def local_source(spec: str) -> LocalSource:
    """Raises LocalError."""
    path = Path(spec).expanduser().absolute()
    if path.is_dir():
        return LocalSource(path=path, version=_version_of(path), digest=_digest_of_tree(path))
    match = _WHEEL.fullmatch(path.name)
    if match is None or not path.is_file():
        raise LocalError(
            f"{spec}: expected a checkout of AstrBot (a directory with its pyproject.toml) or a wheel named "
            "like astrbot-4.29.3-py3-none-any.whl"
        )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return LocalSource(path=path, version=match["version"], digest=digest)


def _version_of(checkout: Path) -> str:
    try:
        with (checkout / "pyproject.toml").open("rb") as file:
            project = tomllib.load(file).get("project", {})
    except (OSError, tomllib.TOMLDecodeError) as exc:
        raise LocalError(f"{checkout}: no checkout of AstrBot, its pyproject.toml cannot be read") from exc
    if str(project.get("name", "")).lower() != "astrbot" or "version" not in project:
        raise LocalError(f"{checkout}: no checkout of AstrBot, its pyproject.toml is of another project")
    return str(project["version"])


def _digest_of_tree(root: Path) -> str:
    digest = hashlib.sha256()
    for file in _files(root):
        facts = file.stat()
        digest.update(f"{file.relative_to(root)}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(set(folders) - _NOT_SOURCE)
        yield from (Path(folder) / name for name in sorted(names) if (Path(folder) / name).is_file())
