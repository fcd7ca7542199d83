"""A git checkout -> its commits from a good to a bad one, each in a working tree of its own.

The user's own working tree, index and branches are not touched; the working trees are removed at the end.
"""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

TIMEOUT_S = 120
SHORT = 12  # digits of a commit that people see


class CommitError(ValueError):
    """A checkout or a commit that cannot be used; the text says what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """`title`: the first line of its message."""

    digits: str
    title: str

    @property
    def name(self) -> str:
        return self.digits[:SHORT]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingTrees:
    """Of the commits of `checkout`, inside `folder`, each made when it is asked for."""

    checkout: Path
    folder: Path
    made: dict[str, Path] = field(default_factory=dict)

    def of(self, digits: str) -> Path:
        """Raises CommitError."""
        if digits not in self.made:
            path = self.folder / digits[:SHORT]
            git(self.checkout, "worktree", "add", "--quiet", "--detach", str(path), digits)
            self.made[digits] = path
        return self.made[digits]

    @property
    def digests(self) -> Mapping[str, str]:
        """By the path of a working tree: a commit never changes, so that it is installed once for all."""
        return {str(path): digits for digits, path in self.made.items()}


@contextmanager
def working_trees(checkout: Path) -> Iterator[WorkingTrees]:
    """Removed at the end, and git's notes of them, too."""
    with TemporaryDirectory(prefix="astrometer-bisect-") as folder:
        trees = WorkingTrees(checkout=checkout, folder=Path(folder))
        try:
            yield trees
        finally:
            for path in trees.made.values():
                git(checkout, "worktree", "remove", "--force", str(path))


def commits_between(checkout: Path, good: str, bad: str) -> tuple[list[Commit], bool]:
    """All from the good to the bad one, both included, along the first parents; whether the bad one is older.

    Raises CommitError.
    """
    ends = [_commit(checkout, ref) for ref in (good, bad)]
    for older, newer in (ends, ends[::-1]):
        walk = ("--first-parent", "--ancestry-path", "--reverse", f"{older.digits}..{newer.digits}")
        if lines := git(checkout, "log", "--format=%H %s", *walk).splitlines():
            found = [older, *(_read(line) for line in lines)]
            return (found, False) if older is ends[0] else (found[::-1], True)
    raise CommitError(f"{checkout}: neither of {good} and {bad} is an ancestor of the other")


def _commit(checkout: Path, ref: str) -> Commit:
    return _read(git(checkout, "log", "-1", "--format=%H %s", "--end-of-options", ref))


def _read(line: str) -> Commit:
    digits, _, title = line.strip().partition(" ")
    return Commit(digits=digits, title=title)


def git(checkout: Path, *arguments: str) -> str:
    """What git says. Raises CommitError with its complaint."""
    # No hook of the checkout runs in our working trees; signatures would stand among the commits.
    settings = ("-c", "core.hooksPath=/dev/null", "-c", "log.showSignature=false")
    command = ["git", "-C", str(checkout), *settings, *arguments]
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise CommitError(f"git {arguments[0]}: {exc}") from exc
    if done.returncode:
        raise CommitError(f"{checkout}: git {arguments[0]}: {done.stderr.strip()[-500:]}")
    return done.stdout
