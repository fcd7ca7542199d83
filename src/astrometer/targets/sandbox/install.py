"""An AstrBot version -> a cached virtual environment that holds it, with the libraries of its day.

Made with uv from the package index that the user configured for uv, or else for pip. A lock and a marker file
guard the cache: two processes make one environment, what fails leaves nothing, a crash nothing that counts.
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import uv
from packaging.version import InvalidVersion, Version

from astrometer.output_files import try_place
from astrometer.targets.sandbox.find_python import find_python, index_environment
from astrometer.targets.sandbox.local import LocalError, LocalSource, is_local, local_source
from astrometer.user_error import UserError

FIRST = (4, 18, 0)  # the HTTP API appears
# Old releases break with libraries made after them: the day until which libraries are taken, for this
# version and all since the one before it. Later versions take the newest.
LIBRARIES_UNTIL = (
    ((4, 18, 0), "2026-02-25"),
    ((4, 20, 1), "2026-03-20"),
    ((4, 23, 6), "2026-05-01"),
    ((4, 25, 6), "2026-06-25"),
    ((4, 26, 0), "2026-06-28"),
    ((4, 26, 8), "2026-08-01"),
    ((4, 27, 5), "2026-09-01"),
    ((4, 28, 2), "2026-10-01"),
)
# 4.29.2 and later pin a certifi that an index may not hold yet.
PINS_CERTIFI = (4, 29, 2)
INSTALL_TIMEOUT_S = 900
MARKER = "astrometer-complete.json"


class InstallError(RuntimeError):
    """AstrBot could not be installed; the text says why and what would help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    version: str
    directory: Path

    @property
    def python(self) -> Path:
        return self.directory / "bin" / "python"

    @property
    def astrbot(self) -> Path:
        return self.directory / "bin" / "astrbot"


def cache_root() -> Path:
    """Where environments and state files are: $ASTROMETER_CACHE, or the user's cache folder."""
    override = os.environ.get("ASTROMETER_CACHE")
    return Path(override).absolute() if override else platformdirs.user_cache_path("astrometer")


def check_cache() -> None:
    """Raises InstallError where nothing can be kept."""
    try:
        try_place(cache_root(), "ASTROMETER_CACHE")
    except UserError as exc:
        raise InstallError(str(exc)) from exc


def install(
    version: str, say: Callable[[str], None] = lambda _: None, digest: str | None = None
) -> Installation:
    """The environment of this exact version, or of a wheel or a checkout, made when it is not there yet.

    `digest`: names the content of a checkout; without it every file is looked at.
    Raises InstallError, NoPythonError.
    """
    local = _local(version, digest) if is_local(version) else None
    numbers = _numbers(version, local)
    version = local.version if local else str(Version(version))
    name = local.cache_name if local else version
    wanted = str(local.path) if local else f"astrbot=={version}"
    directory = cache_root() / "astrbot" / name
    ready = Installation(version=version, directory=directory)
    if _complete(ready):
        return ready
    python = find_python()

    def make(lock: int) -> dict[str, str | None]:
        say(f"installing {wanted if local else f'AstrBot {version}'} with {python}")
        run_uv(
            ["venv", "--quiet", "--no-project", "--python", str(python), str(directory)],
            timeout_s=120,
            lock=lock,
        )
        overrides = directory / "overrides.txt"
        overrides.write_text("".join(f"{line}\n" for line in _overrides(numbers)), encoding="utf-8")
        until = libraries_until(numbers)
        command = ["pip", "install", "--quiet", "--python", str(ready.python), "--overrides", str(overrides)]
        command += ["--exclude-newer", until] if until else []
        run_uv([*command, wanted], lock=lock)
        return {"version": version, "python": str(python), "libraries_until": until}

    return made_once(ready, make, say)


def made_once(
    ready: Installation,
    make: Callable[[int], Mapping[str, str | None]],
    say: Callable[[str], None] = lambda _: None,
) -> Installation:
    """`ready`, made when it is not complete yet; `make` gets the lock for uv and returns facts to note."""
    directory = ready.directory
    if _complete(ready):
        return ready
    check_cache()
    directory.parent.mkdir(parents=True, exist_ok=True)
    with _locked(directory.with_name(f"{directory.name}.lock"), say) as lock:
        if _complete(ready):
            return ready
        shutil.rmtree(directory, ignore_errors=True)
        try:
            facts = make(lock)
            unfinished = directory / f"{MARKER}.part"
            unfinished.write_text(json.dumps(facts), encoding="utf-8")
            unfinished.replace(directory / MARKER)
        except BaseException:  # Ctrl-C, too
            shutil.rmtree(directory, ignore_errors=True)
            raise
    return ready


def _local(spec: str, digest: str | None) -> LocalSource:
    try:
        return local_source(spec, cache_root(), digest)
    except LocalError as exc:
        raise InstallError(str(exc)) from exc


def libraries_until(numbers: tuple[int, ...]) -> str | None:
    """The day up to which this version's libraries are taken; None takes the newest."""
    return next((day for version, day in LIBRARIES_UNTIL if numbers <= version), None)


def _overrides(numbers: tuple[int, ...]) -> list[str]:
    lines = ["setuptools<81"] if libraries_until(numbers) else []
    return [*lines, "certifi>=2025"] if numbers >= PINS_CERTIFI else lines


def _numbers(version: str, local: LocalSource | None) -> tuple[int, ...]:
    """4.30.0-beta.1 is (4, 30, 0): a pre-release lives with the libraries of its release."""
    what, wanted = "AstrBot version", "one like 4.29.3, latest, or a path"
    if local:
        version, what, wanted = local.version, f"{local.path}: its version", "one like 4.29.3 or 4.30.0b1"
    try:
        numbers = Version(version).release
    except InvalidVersion:
        numbers = ()
    if len(numbers) < 3:
        raise InstallError(f"{what} {version!r}: expected {wanted}")
    if numbers < FIRST:
        raise InstallError(f"{what} {version} has no HTTP API: it appears in 4.18.0")
    return numbers


def _complete(installation: Installation) -> bool:
    # `python` is a link: it breaks when the Python that it was made from is removed.
    return (installation.directory / MARKER).exists() and installation.python.exists()


@contextmanager
def _locked(path: Path, say: Callable[[str], None]) -> Iterator[int]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is installing this version; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        if not _is_at(path, file.fileno()):  # who had the lock has removed it, and another may have the next
            with _locked(path, say) as lock:
                yield lock
            return
        # The lock ends when this file is closed in all processes that hold it: uv gets it too, so that nobody
        # begins anew beside a uv whose caller was killed.
        try:
            yield file.fileno()
        finally:
            path.unlink(missing_ok=True)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def run_uv(
    arguments: list[str],
    *,
    timeout_s: float = INSTALL_TIMEOUT_S,
    stdin: str | None = None,
    lock: int | None = None,
) -> str:
    """Its output. Raises InstallError."""
    environment = {**os.environ, **index_environment(os.environ)}
    command = [uv.find_uv_bin(), "--no-progress", "--color", "never", *arguments]
    try:
        # At the root, so that no pyproject.toml steers uv: the cache may be inside a checkout.
        done = subprocess.run(  # noqa: S603
            command,
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment,
            cwd="/",
            pass_fds=() if lock is None else (lock,),
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise InstallError(f"uv {' '.join(arguments[:2])} took more than {timeout_s:g} s") from exc
    if done.returncode:
        raise InstallError(f"uv {' '.join(arguments[:2])} failed:\n{_masked(done.stderr.strip())[-2000:]}")
    return done.stdout


def _masked(text: str) -> str:
    return re.sub(r"(?<=://)[^\s/@]+@", "***@", text)
