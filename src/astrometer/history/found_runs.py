"""A folder -> the runs below it, and what is left out with the reason. Reads files."""

from dataclasses import dataclass
from pathlib import Path

from astrometer.compare.comparable import ComparedRun, unfit
from astrometer.measure.results import document

# Folders of a release test whose blocks do not count.
ASIDE = {
    "warm-up": "the warm-up of a release test, which does not count",
    "invalid": "set aside by a release test: its pair of blocks does not count",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A results file whose numbers are not used; `reason` says why, in a sentence with its name."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRuns:
    """`runs` in the order of their names."""

    runs: tuple[ComparedRun, ...]
    left_out: tuple[LeftOut, ...]


def found_below(folder: Path) -> FoundRuns:
    """Every results.json in the folder and below it. Raises ResultsError when there is none."""
    files = sorted(folder.rglob(document.FILE_NAME))
    if not files:
        raise document.ResultsError(f"{folder}: no {document.FILE_NAME} in it or below it")
    runs: list[ComparedRun] = []
    left_out: list[LeftOut] = []
    for file in files:
        name = file.parent.relative_to(folder).as_posix()
        name = folder.absolute().name if name == "." else name
        read = _read(name, file)
        if isinstance(read, ComparedRun):
            runs.append(read)
        else:
            left_out.append(LeftOut(name=name, reason=read))
    return FoundRuns(runs=tuple(runs), left_out=tuple(left_out))


def _read(name: str, file: Path) -> ComparedRun | str:
    """The run, or why it is left out."""
    for part in Path(name).parts:
        if part in ASIDE:
            return f"{name} is {ASIDE[part]}"
    try:
        run = ComparedRun(name=name, results=document.read(file))
        with document.following_schema(file):
            return unfit(run) or run
    except document.ResultsError as exc:
        return str(exc)
