"""A folder -> its probes: every `*.py` that does not start with `_`; a broken one stops no other."""

import importlib
import importlib.util
import inspect
import math
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, TypeAlias

from astrometer.probing.context import ProbeFunction

DEFAULT_INTERVAL_S = 60.0
PAID_INTERVAL_S = 1800.0  # of a probe that costs tokens
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
    needs_messenger: bool = False
    turns: int = 1  # how often a run asks the model, if it costs tokens
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    priced_by: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()  # names of what it hands to `ctx.measure`
    check: Check = no_check


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenProbe:
    """A file that is not a probe, with the place and the cure."""

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
    costs_tokens = bool(getattr(module, "COSTS_TOKENS", False))
    interval = getattr(module, "INTERVAL", PAID_INTERVAL_S if costs_tokens else DEFAULT_INTERVAL_S)
    if isinstance(interval, bool) or not isinstance(interval, int | float) or not 0 < interval < math.inf:
        raise InvalidProbe(f"{path}: INTERVAL must be a number of seconds above 0, not {interval!r}")
    scopes = getattr(module, "SCOPES", ())
    if not isinstance(scopes, tuple | list) or not all(isinstance(scope, str) for scope in scopes):
        raise InvalidProbe(f'{path}: SCOPES must be a tuple of names, like ("chat",)')
    options = getattr(module, "OPTIONS", {})
    if not isinstance(options, dict) or not all(
        isinstance(name, str) and isinstance(default, OPTION_KINDS) for name, default in options.items()
    ):
        raise InvalidProbe(f'{path}: OPTIONS must name defaults, like {{"question": "..."}}: text or numbers')
    priced_by = getattr(module, "PRICED_BY", ())
    if not isinstance(priced_by, tuple | list) or not all(name in options for name in priced_by):
        raise InvalidProbe(f'{path}: PRICED_BY must be a tuple of names out of OPTIONS, like ("umo",)')
    measures = getattr(module, "MEASURES", ())
    if not isinstance(measures, tuple | list) or not all(isinstance(name, str) for name in measures):
        raise InvalidProbe(f'{path}: MEASURES must be a tuple of names with units, like ("login_seconds",)')
    turns = getattr(module, "TURNS", 1)
    if isinstance(turns, bool) or not isinstance(turns, int) or turns < 1:
        raise InvalidProbe(f"{path}: TURNS must be a whole number from 1, not {turns!r}")
    check = getattr(module, "check", no_check)
    if not inspect.isfunction(check):
        raise InvalidProbe(f"{path}: check must be a function: `def check(options)`")
    return Probe(
        name=path.stem,
        function=function,
        interval_s=float(interval),
        scopes=tuple(scopes),
        costs_tokens=costs_tokens,
        needs_messenger=bool(getattr(module, "NEEDS_MESSENGER", False)),
        summary=(inspect.getdoc(module) or "").split("\n", maxsplit=1)[0],
        turns=turns,
        options=MappingProxyType(dict(options)),
        priced_by=tuple(priced_by),
        measures=tuple(measures),
        check=check,
    )


def _import(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"astrometer_probe_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InvalidProbe(f"{path}: is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there for what an annotation means
    try:
        with _helpers_of(path.parent.resolve()):
            spec.loader.exec_module(module)
    except SyntaxError as exc:
        raise InvalidProbe(f"{exc.filename or path}:{exc.lineno}: {exc.msg}") from exc
    except (Exception, SystemExit) as exc:  # a user's file may raise anything while it is imported
        raise InvalidProbe(f"{path}:{line_in(str(path), exc)}: {type(exc).__name__}: {exc}") from exc
    return module


@contextmanager
def _helpers_of(folder: Path) -> Iterator[None]:
    """What lies in `folder` can be imported, comes after everything else, and is read anew the next time."""
    before, own = set(sys.modules), {item.stem for item in folder.iterdir()}
    wrote, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # leave no __pycache__ in a user's folder
    sys.path.append(str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.dont_write_bytecode = wrote
        loaded = [name for name in set(sys.modules) - before if name.partition(".")[0] in own]
        for name in [name for name in loaded if _lies_in(folder, sys.modules[name])]:
            del sys.modules[name]


def _lies_in(folder: Path, module: ModuleType) -> bool:
    """Whether `module` was read from there: one of Python's own may have the same name."""
    places = (getattr(module, "__file__", None), *getattr(module, "__path__", ()))
    return any(place is not None and Path(place).is_relative_to(folder) for place in places)


def line_in(file: str, error: BaseException) -> int:
    """The line of `file` at which it came to `error`; 1 when none of it was running."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return (lines or [1])[-1] or 1
