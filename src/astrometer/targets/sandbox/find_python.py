"""The machine -> a Python that AstrBot runs on, and the package index its user configured."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import uv

from astrometer.tethered import module_command

WANTED = (3, 12)
# Wheels of old releases' libraries exist for these; a newer Python is taken only when there is no other.
PROVEN = ((3, 12), (3, 13))


class NoPythonError(RuntimeError):
    """No Python that AstrBot runs on."""


def find_python() -> Path:
    """A Python >= 3.12 that really runs (a version manager's shim may not).

    $ASTROMETER_ASTRBOT_PYTHON wins. Raises NoPythonError, which names the cure.
    """
    override = os.environ.get("ASTROMETER_ASTRBOT_PYTHON")
    if override:
        version = _version_of(override)
        if version is None or version < WANTED:
            raise NoPythonError(f"ASTROMETER_ASTRBOT_PYTHON={override}: not a Python 3.12 or newer that runs")
        return Path(override)
    newer: Path | None = None
    for candidate in _candidates():
        version = _version_of(str(candidate))
        if version in PROVEN:
            return candidate
        if version is not None and version > WANTED and newer is None:
            newer = candidate
    if newer is None:
        raise NoPythonError(
            "AstrBot needs Python 3.12 or newer and none was found. Install one (for example with "
            "`uv python install 3.12`, your system's packages or pyenv), or name it in "
            "ASTROMETER_ASTRBOT_PYTHON."
        )
    return newer


def _candidates() -> Iterator[Path]:
    yield Path(sys.executable)
    for minor in (12, 13, 14, 15):
        found = shutil.which(f"python3.{minor}")
        if found:
            yield Path(found)
    for root in _pyenv_roots():
        versions = (root / "versions").glob("3.*/bin/python3")
        yield from sorted(versions, key=lambda path: _natural(path.parts[-3]))
    for wanted in ("3.12", ">=3.12"):
        found_by_uv = _output(
            [uv.find_uv_bin(), "python", "find", "--no-python-downloads", "--no-project", wanted]
        )
        if found_by_uv:
            yield Path(found_by_uv)


def _pyenv_roots() -> Iterator[Path]:
    """Where pyenv keeps its versions; a shim on PATH only runs those that are switched on."""
    yield Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for folder in os.get_exec_path():
        if Path(folder).name == "shims":
            yield Path(folder).parent


def _natural(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def _version_of(python: str) -> tuple[int, int] | None:
    said = _output([python, "-I", "-c", "import sys, ssl, sqlite3; print(*sys.version_info[:2])"])
    numbers = said.split() if said else []
    return (int(numbers[0]), int(numbers[1])) if len(numbers) == 2 else None


def _output(command: list[str]) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def index_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What to add to uv's environment so that it uses the index that only pip is configured for.

    uv does not read pip's settings. Nothing is added when uv has an index of its own. Settings travel in the
    environment, never as arguments: an index URL can carry a password.
    """
    own = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX")
    files = (
        Path(environ.get("XDG_CONFIG_HOME", Path.home() / ".config")) / "uv" / "uv.toml",
        Path("/etc/uv/uv.toml"),
    )
    settings = _pip_settings()
    added: dict[str, str] = {}
    if not any(environ.get(name) for name in own) and not any(file.exists() for file in files):
        for setting, variable in (("index-url", "UV_DEFAULT_INDEX"), ("extra-index-url", "UV_INDEX")):
            if setting in settings:
                added[variable] = settings[setting].replace("\n", " ").strip()
    if "cert" in settings and "SSL_CERT_FILE" not in environ:
        added["SSL_CERT_FILE"] = settings["cert"]
    return added


def _pip_settings() -> dict[str, str]:
    """pip's settings from its files and environment, by bare name; empty without pip."""
    said = _output(module_command("pip", "config", "list")) or ""
    found: dict[str, str] = {}
    # `:env:` lines come first but win over the files.
    for line in sorted(said.splitlines(), key=lambda line: line.startswith(":env:")):
        match = re.fullmatch(r"(?:global|install|:env:)\.([\w-]+)='(.*)'", line)
        if match:
            found[match[1]] = match[2].replace("\\n", " ")
    return found
