"""Commits of a real git repository: their order, their working trees; the user's own is left alone."""

import os
import subprocess

import pytest

from astrometer.release.commits import CommitError, commits_between, working_trees

pytestmark = pytest.mark.process

WHO = {f"GIT_{who}_{what}": "me" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def git(folder, *arguments):
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, **WHO}
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    """main: one - two - merge(side) - four, with an edit that is not committed and a hook that would tell."""
    folder = tmp_path / "AstrBot"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "main")

    def commit(text):
        (folder / "file").write_text(text)
        git(folder, "add", "file")
        git(folder, "commit", "--quiet", "--message", text)
        git(folder, "tag", text)

    commit("one")
    git(folder, "checkout", "--quiet", "-b", "side")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "aside")
    git(folder, "checkout", "--quiet", "main")
    commit("two")
    git(folder, "merge", "--quiet", "--no-ff", "--message", "merged", "side")
    commit("four")
    (folder / "file").write_text("edited")
    hook = folder / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
    hook.chmod(0o755)
    return folder


def test_commits_go_from_the_good_to_the_bad_one_along_the_first_parents(checkout):
    found, is_mended = commits_between(checkout, "one", "main")
    assert ([commit.title for commit in found], is_mended) == (["one", "two", "merged", "four"], False)
    assert found[0].digits == git(checkout, "rev-parse", "one")
    found, is_mended = commits_between(checkout, "four", "two")
    assert ([commit.title for commit in found], is_mended) == (["four", "merged", "two"], True)


@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [
        ("side", "two", "neither of side and two is an ancestor of the other"),
        ("one", "nosuch", "git log: fatal"),
        ("one", "--output=evil", "git log: fatal"),
    ],
)
def test_ends_that_are_not_on_one_way_are_refused(checkout, good, bad, told):
    with pytest.raises(CommitError, match=told):
        commits_between(checkout, good, bad)
    assert sorted(file.name for file in checkout.iterdir()) == [".git", "file"]


def test_a_folder_without_git_is_refused(tmp_path):
    with pytest.raises(CommitError, match="not a git repository"):
        commits_between(tmp_path, "one", "two")


def test_each_commit_has_a_working_tree_once_and_the_users_own_is_as_it_was(checkout, tmp_path):
    before = (git(checkout, "status", "--short", "--branch"), git(checkout, "worktree", "list"))
    found, _ = commits_between(checkout, "one", "main")
    with working_trees(checkout) as trees:
        path = trees.of(found[1].digits)
        assert (path / "file").read_text() == "two"
        assert path.name == found[1].name
        assert trees.of(found[1].digits) == path
        assert trees.digests == {str(path): found[1].digits}
    assert not path.exists()
    assert before == (git(checkout, "status", "--short", "--branch"), git(checkout, "worktree", "list"))
    assert (checkout / "file").read_text() == "edited"
    assert not (tmp_path / "hooked").exists()
