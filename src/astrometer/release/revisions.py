"""Two ends -> all revisions from the one to the other, and how each is installed: releases, or commits."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from packaging.version import Version

from astrometer.release.commits import WorkingTrees, commits_between, working_trees
from astrometer.release.session import Means
from astrometer.release.sides import Say, SideSpec
from astrometer.targets.sandbox.index_versions import latest_version, versions_between
from astrometer.targets.sandbox.install import install


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A version or a commit. `side`: what it is installed from, made when it is wanted."""

    name: str
    side: Callable[[], SideSpec]
    title: str = ""  # what a commit says of itself


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionRange:
    """`revisions` from the good to the bad end, both included; `is_mended`: the bad end is the older one."""

    revisions: Sequence[Revision]
    is_mended: bool
    means: Means


def releases(good: str, bad: str, say: Say) -> RevisionRange:
    """Of the package index. Raises InstallError, NoPythonError."""
    good, bad = (latest_version(say) if end == "latest" else end for end in (good, bad))
    names = versions_between(good, bad, say)
    return RevisionRange(
        revisions=[Revision(name=name, side=partial(SideSpec, astrbot=name)) for name in names],
        is_mended=Version(names[0]) > Version(names[-1]),
        means=Means(),
    )


@contextmanager
def commits(checkout: Path, good: str, bad: str) -> Iterator[RevisionRange]:
    """Of a checkout; the working trees are there until the end. Raises CommitError."""
    found, is_mended = commits_between(checkout, good, bad)
    with working_trees(checkout) as trees:
        yield RevisionRange(
            revisions=[
                Revision(name=one.name, title=one.title, side=partial(_side, trees, one.digits))
                for one in found
            ],
            is_mended=is_mended,
            means=Means(install=lambda spec, say: install(spec, say, trees.digests.get(spec))),
        )


def _side(trees: WorkingTrees, digits: str) -> SideSpec:
    return SideSpec(astrbot=str(trees.of(digits)))
