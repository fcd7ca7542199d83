"""A wheel or a checkout of AstrBot on this machine -> what to install, its version, and a name for the cache.

The name holds a digest of the content, so that an edited checkout is installed anew, an unchanged one not.
What astrometer itself writes into a checkout is no edit.
"""

import hashlib
import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

_NOT_SOURCE = {
    *(".git", ".venv", "venv", "node_modules", "__pycache__", "data", "temp", ".ruff_cache"),
    "astrometer-results",
}
# In a folder with one of the first two, all of these are a report, wherever --out put it.
REPORT_MARKS = {"locust.log", "compare.json"}
REPORT = REPORT_MARKS | {"compare.html", "results.json", "report.html", "summary.md", "junit.xml"}


class LocalError(ValueError):
    """A path that holds no AstrBot; the text says what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSource:
    path: Path  # absolute
    version: str
    digest: str

    @property
    def cache_name(self) -> str:
        return f"{self.version}-local-{self.digest[:12]}"


def is_local(spec: str) -> bool:
    """Whether a version is meant as a path: `./AstrBot`, `dist/astrbot-4.30.0-py3-none-any.whl`."""
    return os.sep in spec or spec.endswith(".whl") or spec.startswith((".", "~"))


def local_source(spec: str, cache: Path, digest: str | None = None) -> LocalSource:
    """`cache`: a folder to leave out, should it be inside a checkout. Raises LocalError."""
    path = Path(spec).expanduser().absolute()
    if path.is_dir():
        version = _version_of(path)
        digest = digest or _digest_of_tree(path.resolve(), cache.resolve())
        return LocalSource(path=path, version=version, digest=digest)
    version_of_wheel = _version_of_wheel(path.name)
    if version_of_wheel is None or not path.is_file():
        raise LocalError(
            f"{spec}: expected a checkout of AstrBot (a directory with its pyproject.toml) or a wheel named "
            "like astrbot-4.29.3-py3-none-any.whl"
        )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return LocalSource(path=path, version=str(version_of_wheel), digest=digest)


def _version_of_wheel(name: str) -> Version | None:
    try:
        project, version, *_ = parse_wheel_filename(name)
    except InvalidWheelFilename:
        return None
    return version if project == "astrbot" else None


def _version_of(checkout: Path) -> str:
    try:
        with (checkout / "pyproject.toml").open("rb") as file:
            project = tomllib.load(file).get("project", {})
    except (OSError, tomllib.TOMLDecodeError) as exc:
        raise LocalError(f"{checkout}: no checkout of AstrBot, its pyproject.toml cannot be read") from exc
    if str(project.get("name", "")).lower() != "astrbot" or "version" not in project:
        raise LocalError(f"{checkout}: no checkout of AstrBot, its pyproject.toml is of another project")
    return str(project["version"])


def _digest_of_tree(root: Path, cache: Path) -> str:
    digest = hashlib.sha256()
    for file in _files(root, cache):
        facts = file.stat()
        digest.update(f"{file.relative_to(root)}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _files(root: Path, cache: Path) -> Iterator[Path]:
    for at, folders, names in os.walk(root):
        folder = Path(at)
        folders[:] = sorted(name for name in set(folders) - _NOT_SOURCE if folder / name != cache)
        report = set() if REPORT_MARKS.isdisjoint(names) else REPORT
        yield from (folder / name for name in sorted(set(names) - report) if (folder / name).is_file())
