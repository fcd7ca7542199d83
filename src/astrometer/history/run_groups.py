"""Runs -> groups of runs that can be compared, each in order: by time, or by version. Judges no number."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from packaging.version import InvalidVersion, Version

from astrometer.compare.comparable import ComparedRun, arguments, unlike
from astrometer.history.found_runs import LeftOut

# Options of a load run that change what is asked. Others are told where the level changed.
ASKED = ("--prompts", "--prompt-suffix", "--session-turns", "--whole-answer-percent", "--transport")
_NUMBER = re.compile(r"v?\d\S*")


class Order(StrEnum):
    TIME = "time"
    VERSION = "version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One place on the x axis: a run, or all runs of a version."""

    runs: tuple[ComparedRun, ...]

    @property
    def version(self) -> str:
        return version_of(self.runs[0])

    @property
    def start(self) -> str:
        """Of its first run: UTC, ISO 8601."""
        return str(self.runs[0].results["window"]["start"])


@dataclass(frozen=True, slots=True, kw_only=True)
class RunGroup:
    """Runs of one kind. `apart`: why they cannot be compared with those of the largest group."""

    points: tuple[Point, ...]
    apart: str = ""

    @property
    def runs(self) -> tuple[ComparedRun, ...]:
        return tuple(run for point in self.points for run in point.runs)


def version_of(run: ComparedRun) -> str:
    return str(run.results["target"]["version"] or "unknown")


def grouped(runs: Sequence[ComparedRun], order: Order) -> tuple[list[RunGroup], list[LeftOut]]:
    """The largest group first. By version also the runs that have no known one, which are left out."""
    left_out = []
    if order is Order.VERSION:
        unknown = [run for run in runs if _version_key(run) is None]
        left_out = [LeftOut(name=run.name, reason=f"{run.name}: {_unordered(run)}") for run in unknown]
        runs = [run for run in runs if run not in unknown]
    kinds: list[list[ComparedRun]] = []
    for run in sorted(runs, key=lambda run: str(run.results["window"]["start"])):
        home = next((kind for kind in kinds if not _differs(kind[0], run)), None)
        if home is None:
            kinds.append(home := [])
        home.append(run)
    kinds.sort(key=len, reverse=True)
    return [
        RunGroup(points=_points(kind, order), apart=_differs(kinds[0][0], kind[0]) if number else "")
        for number, kind in enumerate(kinds)
    ], left_out


def _differs(first: ComparedRun, run: ComparedRun) -> str:
    """Why the two cannot be compared; empty when they can."""
    reasons = unlike(first, [run])
    ours, theirs = arguments(first.results), arguments(run.results)
    if ours and theirs:
        reasons += [
            f"{option}: {ours.get(option, 'default')} in {first.name}, {theirs.get(option, 'default')} "
            f"in {run.name}"
            for option in ASKED
            if ours.get(option) != theirs.get(option)
        ]
    return "; ".join(reasons)


def _points(kind: Sequence[ComparedRun], order: Order) -> tuple[Point, ...]:
    if order is Order.TIME:
        return tuple(Point(runs=(run,)) for run in kind)
    by_version: dict[str, list[ComparedRun]] = {}
    key: Callable[[ComparedRun], tuple[Version, str]] = lambda run: (  # noqa: E731
        _version_key(run) or Version("0"),
        version_of(run),
    )
    for run in sorted(kind, key=key):
        by_version.setdefault(version_of(run), []).append(run)
    return tuple(Point(runs=tuple(runs)) for runs in by_version.values())


def _version_key(run: ComparedRun) -> Version | None:
    """Of `4.29.3 + plugin hello` that of AstrBot."""
    found = _NUMBER.match(version_of(run))
    try:
        return None if found is None else Version(found.group())
    except InvalidVersion:
        return None


def _unordered(run: ComparedRun) -> str:
    version = version_of(run)
    return (
        "its AstrBot version is not known" if version == "unknown" else f"{version!r} is not a version number"
    )
