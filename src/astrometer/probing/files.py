"""A folder -> its probes: every `*.py` that does not start with `_`, by path, without importing others."""

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, TypeAlias

from astrometer.probing.probe import ProbeFunction

DEFAULT_INTERVAL_S = 60.0
OPTION_KINDS = (str, bool, int, float, list)
Check: TypeAlias = Callable[[Mapping[str, Any]], None]


def no_check(_options: Mapping[str, Any]) -> None:
    """Any options of the right kind will do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One probe file. `first_line` of its docstring says what it watches."""

    name: str
    function: ProbeFunction
    interval_s: float
    scopes: tuple[str, ...]
    costs_tokens: bool
    summary: str
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    check: Check = no_check


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenProbe:
    """A file that is no probe, with the place and the cure."""

    path: Path
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """What a folder holds. A broken file does not stop the others."""

    probes: dict[str, Probe]
    broken: tuple[BrokenProbe, ...]


def load_folder(folder: Path) -> Folder:
    """Import every probe file of `folder`."""
    probes: dict[str, Probe] = {}
    broken = []
    for path in sorted(folder.glob("*.py")):
        if path.name.startswith("_"):
            continue
        try:
            probes[path.stem] = load_probe(path)
        except InvalidProbe as exc:
            broken.append(BrokenProbe(path=path, problem=str(exc)))
    return Folder(probes=probes, broken=tuple(broken))


def load_folders(folders: Iterable[Path]) -> Folder:
    """Several folders as one; a probe of a later folder replaces an earlier one of the same name."""
    probes: dict[str, Probe] = {}
    broken: list[BrokenProbe] = []
    for folder in folders:
        found = load_folder(folder)
        probes |= found.probes
        broken += found.broken
    return Folder(probes=probes, broken=tuple(broken))


class InvalidProbe(ValueError):
    """A probe file that cannot be used: file, line, cause."""


def load_probe(path: Path) -> Probe:
    """Import one file. Raises InvalidProbe."""
    module = _import(path)
    function = getattr(module, "probe", None)
    if function is None or not inspect.iscoroutinefunction(function):
        raise InvalidProbe(f"{path}: has no `async def probe(ctx: Context) -> Verdict`")
    interval = getattr(module, "INTERVAL", DEFAULT_INTERVAL_S)
    if isinstance(interval, bool) or not isinstance(interval, int | float) or interval <= 0:
        raise InvalidProbe(f"{path}: INTERVAL must be a number of seconds above 0, not {interval!r}")
    scopes = getattr(module, "SCOPES", ())
    if isinstance(scopes, str) or not all(isinstance(scope, str) for scope in scopes):
        raise InvalidProbe(f'{path}: SCOPES must be a tuple of names, like ("chat",)')
    options = getattr(module, "OPTIONS", {})
    if not isinstance(options, dict) or not all(
        isinstance(name, str) and isinstance(default, OPTION_KINDS) for name, default in options.items()
    ):
        raise InvalidProbe(f'{path}: OPTIONS must name defaults, like {{"question": "..."}}: text or numbers')
    return Probe(
        name=path.stem,
        function=function,
        interval_s=float(interval),
        scopes=tuple(scopes),
        costs_tokens=bool(getattr(module, "COSTS_TOKENS", False)),
        summary=(inspect.getdoc(module) or "").split("\n", maxsplit=1)[0],
        options=MappingProxyType(dict(options)),
        check=getattr(module, "check", no_check),
    )


def _import(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"astrometer_probe_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InvalidProbe(f"{path}: is not a Python file")
    module = importlib.util.module_from_spec(spec)
    wrote, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # leave no __pycache__ in a user's folder
    try:
        spec.loader.exec_module(module)
    except SyntaxError as exc:
        raise InvalidProbe(f"{path}:{exc.lineno}: {exc.msg}") from exc
    except Exception as exc:  # a user's file may raise anything while it is imported
        frames = [frame for frame in traceback.extract_tb(exc.__traceback__) if frame.filename == str(path)]
        line = frames[-1].lineno if frames else 1
        raise InvalidProbe(f"{path}:{line}: {type(exc).__name__}: {exc}") from exc
    finally:
        sys.dont_write_bytecode = wrote
    return module
