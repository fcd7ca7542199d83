"""`astrometer bisect` without a server: what it refuses, what it says and writes, what it exits with."""

import json

import pytest
from click.testing import CliRunner

from astrometer.cli import main
from astrometer.cli.shared import block_options
from astrometer.release import revisions
from astrometer.release.bisect_session import BisectSession, BisectStep, OpenEndError, WrongEndError
from astrometer.release.bisection import Mark
from astrometer.targets.sandbox.server_process import ChildError

ENDS = ("--good", "4.28.1", "--bad", "4.30.0")
ASKED = (*ENDS, "--scenario", "chat", "--fail-if", "ttft_p50 worse by 20%")
VERSIONS = ["4.28.1", "4.28.2", "4.29.0", "4.30.0"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(block_options, "_look_ahead", lambda *_: None)  # it starts Locust
    monkeypatch.setattr(revisions, "versions_between", lambda *_: VERSIONS)


def invoke(*args):
    done = CliRunner().invoke(main, ["bisect", *args], catch_exceptions=False)
    return done.exit_code, " ".join(done.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (ENDS, "--fail-if is needed"),
        (ASKED, "nobody can be asked here (no terminal): add --yes"),
        ((*ASKED, "--yes", "--bad", "4.28.1"), "--good and --bad are both 4.28.1"),
        ((*ASKED, "--yes", "--budget", "1m"), "no room for 3 pairs"),
        pytest.param((*ASKED, "--yes", "--checkout", "."), "not a git repository", marks=pytest.mark.process),
    ],
)
def test_what_cannot_be_searched_is_refused(tmp_path, args, told):
    code, said = invoke(*args)
    assert (code, told in said) == (2, True), said
    assert list(tmp_path.iterdir()) == []


def searched(monkeypatch, marks, ends=None):
    """A session that has found out this, and then ends by `ends`."""

    def execute(session):
        for place, mark in marks.items():
            session.search.marks[place] = mark
            step = BisectStep(
                place=place, name=VERSIONS[place], mark=mark, why="ended (exit 1)", rows=(), pairs=0,
                elapsed_s=75.0, directory=session.plan.out / VERSIONS[place],
            )  # fmt: skip
            session.steps.append(step)
        if ends is not None:
            raise ends

    monkeypatch.setattr(BisectSession, "execute", execute)


FOUND = {0: Mark.GOOD, 3: Mark.BAD, 2: Mark.BAD, 1: Mark.GOOD}


@pytest.mark.parametrize(
    ("marks", "ends", "code", "told"),
    [
        (FOUND, None, 0, "4.29.0 broke it: it is the first bad one; 4.28.2 is the last good one."),
        ({**FOUND, 1: Mark.SKIPPED}, None, 3, "one of these broke it: 4.28.2, 4.29.0."),
        ({0: Mark.GOOD}, KeyboardInterrupt(), 130, "4.28.1 and 4.30.0 were not both tested"),
        ({0: Mark.GOOD}, WrongEndError("4.30.0 is not bad"), 2, "Error: 4.30.0 is not bad"),
        ({}, OpenEndError("the good end, 4.28.1: undecided"), 3, "Error: the good end"),
        ({}, ChildError("AstrBot 4.28.1 was not ready after 55 s"), 4, "not ready after 55 s"),
    ],
)
def test_whatever_ends_it_says_what_is_known_and_keeps_it(tmp_path, monkeypatch, marks, ends, code, told):
    searched(monkeypatch, marks, ends)
    ended, said = invoke(*ASKED, "--yes", "--out", "out")
    assert (ended, told in said) == (code, True), said
    assert "2 revisions between them. At most 4 steps" in said
    kept = json.loads((tmp_path / "out" / "bisect.json").read_text())
    assert [step["name"] for step in kept["steps"]] == [VERSIONS[place] for place in marks]
    assert kept["sentence"] in said
    assert kept["is_found"] is (code == 0)
