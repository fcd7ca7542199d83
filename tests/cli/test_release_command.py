"""`astrometer release` without a server: what it refuses, what it writes, what it exits with."""

import json
import os
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner
from synthetic_runs import make_run, make_side

from astrometer import bundled
from astrometer.cli import main, release
from astrometer.compare.gates import parse_gate
from astrometer.release.release_plan import Role
from astrometer.release.session import ReleaseSession

pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    for name in os.environ:
        if name.startswith(("ASTR", "LOCUST")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ASTROMETER_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def invoke(*args):
    return call("release", "--astrbot", "./nowhere", "--against", "./nowhere", "--scenario", "chat", *args)


def call(*command):
    done = CliRunner().invoke(main, command, catch_exceptions=False)
    return done.exit_code, " ".join(done.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--", "--bogus"], "unrecognized arguments: --bogus"),
        (["--", "Nobody"], "Unknown User(s): Nobody"),
        (["--", "--help"], "begins no run"),
        (["--fail-if", "nosuch: ttft_p95 worse by 10%"], "no scenario 'nosuch' (there are: chat"),
        (["--slo", "nosuch: ttft_p95 < 2s"], "no scenario 'nosuch' (there are: chat"),
        (["--fail-if", "goodput worse by 2pp"], "add --slo"),
    ],
)
def test_what_could_never_be_run_or_judged_is_refused_before_anything_is_installed(tmp_path, args, told):
    code, said = invoke(*args)
    assert code == 2
    assert told in said
    assert list(tmp_path.iterdir()) == []


def test_a_locustfile_may_print_and_one_that_never_ends_its_import_is_refused(tmp_path, monkeypatch):
    chat = bundled.find("locustfiles", "chat").read_text()
    (tmp_path / "noisy.py").write_text(f"import atexit\n{chat}\nprint('hi')\natexit.register(print, 'bye')\n")
    (tmp_path / "endless.py").write_text("import time\n\nwhile True:\n    time.sleep(1)\n")
    command = ["release", "--astrbot", "./nowhere", "--against", "./nowhere", "--scenario"]
    code, said = call(*command, "noisy.py")
    assert (code, "nowhere" in said) == (4, True), said
    monkeypatch.setattr("astrometer.load.inspect_locustfile.TIMEOUT_S", 3.0)
    code, said = call(*command, "endless.py")
    assert (code, "has not read the locustfile after 3 s" in said) == (2, True), said


def test_goodput_can_be_judged_with_an_objective_wherever_that_is_given():
    code, said = invoke("--fail-if", "chat: goodput worse by 2pp", "--", "--slo", "ttft_p95 < 2s")
    assert (code, "expected a checkout" in said) == (4, True)  # on to installing


def measured(monkeypatch, **cand):
    sides = {
        Role.BASELINE: make_side("baseline", seed=1),
        Role.CANDIDATE: make_side("candidate", seed=11, version="4.30.0", **cand),
    }
    monkeypatch.setattr(ReleaseSession, "prepare", lambda _: {})
    monkeypatch.setattr(ReleaseSession, "execute", lambda *_: sides)


def test_the_directory_has_every_form_of_the_verdict(tmp_path, monkeypatch):
    measured(monkeypatch, ttft_s=0.36)
    code, _ = invoke("--fail-if", "ttft_p50 worse by 10%", "--out", "out")
    assert code == 1
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {"compare.html", "compare.json", "summary.md", "junit.xml"}
    root = ET.parse(tmp_path / "out" / "junit.xml").getroot()
    assert root.get("failures") == "1"
    assert json.loads((tmp_path / "out" / "compare.json").read_text())["verdict"] == "FAIL"


@pytest.mark.parametrize(("args", "code", "tag"), [((), 3, "error"), (("--accept-undecided",), 0, "skipped")])
def test_what_cannot_be_told_is_in_junit_what_it_is_in_the_exit_code(tmp_path, monkeypatch, args, code, tag):
    measured(monkeypatch)
    assert invoke("--fail-if", "ttft_p50 worse by 0.1%", "--out", "out", *args)[0] == code
    cases = list(ET.parse(tmp_path / "out" / "junit.xml").getroot().iter("testcase"))
    assert [case[0].tag for case in cases] == ["system-out", tag]


def test_a_condition_on_what_did_not_run_after_all_costs_no_report():
    runs = {Role.BASELINE: [make_run("b", seed=1)], Role.CANDIDATE: [make_run("c", seed=2)]}
    shown = release.judged(runs, [parse_gate("uploads: ttft_p95 worse by 10%")], 0.05, 0.02)
    assert shown.verdict == "CANNOT TELL"
    assert [check.verdict for check in shown.checks] == ["UNDECIDED"]


def test_ctrl_c_has_the_exit_code_of_a_shell(tmp_path, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(ReleaseSession, "prepare", interrupted)
    code, said = invoke("--out", "out")
    assert code == 130
    assert "what was measured is in out" in said
