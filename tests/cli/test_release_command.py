"""`astrometer release` without a server: what it refuses, what it writes, what it exits with."""

import json
import os
import re
from xml.etree import ElementTree as ET

import pytest
from astrbot_plugins import write_plugin
from click.testing import CliRunner
from synthetic_runs import make_side

from astrometer import bundled
from astrometer.cli import main
from astrometer.cli.shared import block_options
from astrometer.load.schedule.arrivals import Process
from astrometer.release.release_plan import Role
from astrometer.release.session import Interrupted, ReleaseError, ReleaseSession, ServerGone
from astrometer.targets.sandbox.config_patch import ConfigPatchError
from astrometer.targets.sandbox.server_process import ChildError


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


@pytest.mark.process
@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--", "--bogus"], "unrecognized arguments: --bogus"),
        (["--", "Nobody"], "Unknown User(s): Nobody"),
        (["--", "--help"], "begins no run"),
        (["--fail-if", "nosuch: ttft_p95 worse by 10%"], "no scenario 'nosuch' (there are: chat"),
        (["--slo", "nosuch: ttft_p95 < 2s"], "no scenario 'nosuch' (there are: chat"),
        (["--fail-if", "goodput worse by 2pp"], "add --slo"),
        (["--block", "2m"], "at most 50s"),
        (["--budget", "1m"], "no room for 3 pairs of blocks of 20 s"),
        (["--users", "5", "--arrivals", "poisson"], "--arrivals needs a rate"),
        (["--shape", "3:20s", "--arrivals", "poisson"], "--arrivals needs a rate"),
        (["--more"], "name the directory of the test to continue with --out"),
        (["--more", "--out", "nowhere"], "--more: nowhere: no compare.json of a release test"),
    ],
)
def test_what_could_never_be_run_or_judged_is_refused_before_anything_is_installed(tmp_path, args, told):
    code, said = invoke(*args)
    assert code == 2
    assert told in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--astrbot", "4.29.3"], "--against is missing; only --plugin and --config-patch need none"),
        (["--plugin", "plugin", "--plugin", "nowhere"], "nowhere: expected the folder of a plugin"),
        (["--plugin", "plugin", "--plugin", "plugin"], "another plugin is called astrbot_plugin_empty, too"),
        (["--config-patch", "nowhere.json"], "nowhere.json: No such file"),
    ],
)
def test_what_the_candidate_has_besides_is_checked_before_anything_is_installed(tmp_path, args, told):
    write_plugin(tmp_path / "plugin")
    code, said = call("release", *args)
    assert (code, told in said, (tmp_path / "cache").exists()) == (2, True, False), said


def test_a_plugin_alone_is_compared_with_the_same_astrbot_without_it(tmp_path, monkeypatch):
    specs = {}
    monkeypatch.setattr(block_options, "_look_ahead", lambda *_: None)
    monkeypatch.setattr(ReleaseSession, "prepare", lambda session: specs.update(session.plan.specs))
    monkeypatch.setattr(ReleaseSession, "execute", lambda *_: None)
    (tmp_path / "fast.json").write_text('{"t2i": false}')
    write_plugin(tmp_path / "plugin")
    call("release", "--plugin", "plugin", "--config-patch", "fast.json", "--scenario", "chat")
    assert {role.value: spec.label("4.29.3") for role, spec in specs.items()} == {
        "baseline": "4.29.3", "candidate": "4.29.3 + plugin astrbot_plugin_empty + config fast.json",
    }  # fmt: skip
    assert {spec.astrbot for spec in specs.values()} == {"latest"}


def test_a_key_that_the_candidate_does_not_have_is_a_usage_error(monkeypatch):
    measured(monkeypatch, pairs=0, ends=ConfigPatchError("fast.json: t2j: AstrBot 4.29.3 has no such key"))
    code, said = invoke()
    assert (code, "--config-patch fast.json: t2j: AstrBot 4.29.3 has no such key" in said) == (2, True)


@pytest.mark.process
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


@pytest.mark.process
def test_goodput_can_be_judged_with_an_objective_wherever_that_is_given():
    code, said = invoke("--fail-if", "chat: goodput worse by 2pp", "--", "--slo", "ttft_p95 < 2s")
    assert (code, "expected a checkout" in said) == (4, True)  # on to installing


def measured(monkeypatch, *, pairs=5, ends=None, is_invalid=False, **cand):
    """Sessions that have measured this already, and then are decided, or end by `ends`."""
    base = make_side("baseline", seed=1, runs=pairs)
    sides = base, make_side("candidate", seed=11, runs=pairs, version="4.30.0", **cand)

    def execute(session, _):
        for before, after in zip(*sides, strict=True):
            session.blocks.add({Role.BASELINE: before, Role.CANDIDATE: after})
            session.blocks.timed(60.0 * session.blocks.pairs)
            session.blocks.look()
        if ends is not None:
            raise ends
        session.blocks.ended(is_invalid=is_invalid)

    monkeypatch.setattr(block_options, "_look_ahead", lambda *_: None)  # which starts Locust
    monkeypatch.setattr(ReleaseSession, "prepare", lambda _: {})
    monkeypatch.setattr(ReleaseSession, "execute", execute)


@pytest.mark.parametrize(("is_invalid", "expected"), [(False, 0), (True, 3)])
def test_what_could_not_be_measured_is_not_accepted_as_undecided(monkeypatch, is_invalid, expected):
    measured(monkeypatch, pairs=1, is_invalid=is_invalid)
    code, said = invoke("--accept-undecided", "--out", "out")
    assert (code, "pair after pair was INVALID" in said) == (expected, is_invalid)


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


def test_every_report_says_how_the_session_ended_and_since_when_a_row_is_decided(tmp_path, monkeypatch):
    measured(monkeypatch, ttft_s=0.36)
    code, said = invoke("--fail-if", "ttft_p50 worse by 10%", "--out", "out")
    ended = "Ended after 5 pairs of blocks of 20.00 s each (of at most 10), 3 looks, 5m 00s"
    assert (code, ended in said) == (1, True), said
    assert re.search(r"Failed: fail if ttft_p50 worse by 10%, .*\d %", said), said
    assert "decided after 4 pairs" in said
    for name in ("compare.html", "summary.md"):
        text = (tmp_path / "out" / name).read_text()
        assert ended.partition(" (")[0] in text
        assert "decided after 4 pairs" in text
    told = json.loads((tmp_path / "out" / "compare.json").read_text())["sequence"]
    assert (told["pairs"], told["planned_pairs"], told["looks"]) == (5, 10, 3)
    assert told["decided_after_pairs"] == {"ttft_p50": 4}


def test_a_missed_objective_is_named_with_its_value(monkeypatch):
    measured(monkeypatch, slos=("ttft_p50 < 100ms",))
    code, said = invoke("--slo", "ttft_p50 < 100ms", "--fail-if", "errors worse by 9pp", "--out", "out")
    told = " ".join(said.split())
    assert code == 1
    assert re.search(
        r"FAIL Failed: candidate: ttft_p50 < 100ms, [23]\d\d ms \(n [\d,]+\) in 5 blocks\.", told
    ), said


@pytest.mark.parametrize(
    ("ends", "code", "told"),
    [
        (KeyboardInterrupt(), 130, "interrupted."),
        (Interrupted(), 130, "interrupted."),
        (ServerGone("in block 6: AstrBot 4.30.0 ended (exit -9)"), 4, "a side failed."),
        (ChildError("AstrBot 4.30.0 was not ready after 55 s"), 4, "a side failed."),
        (ReleaseError("Locust ended with exit code 1"), 3, "a side failed."),
    ],
)
def test_what_ends_a_session_early_leaves_what_is_known_and_its_own_exit_code(
    tmp_path, monkeypatch, ends, code, told
):
    measured(monkeypatch, ends=ends)
    ended, said = invoke("--out", "out")
    assert ended == code
    assert f"Ended after 5 pairs of blocks of 20.00 s each (of at most 10), 3 looks, 5m 00s: {told}" in said
    assert str(ends) in said
    assert json.loads((tmp_path / "out" / "compare.json").read_text())["sequence"]["pairs"] == 5


def test_without_a_single_pair_nothing_is_known(tmp_path, monkeypatch):
    measured(monkeypatch, pairs=0, ends=ChildError("AstrBot 4.30.0 was not ready after 55 s"))
    code, said = invoke("--out", "out")
    assert (code, "nothing is known" in said) == (4, True)
    assert not (tmp_path / "out" / "compare.json").exists()


def test_a_condition_on_what_did_not_run_after_all_costs_no_report(monkeypatch):
    measured(monkeypatch, pairs=1)
    code, said = invoke("--fail-if", "uploads: ttft_p95 worse by 10%", "--out", "out")
    assert (code, "CANNOT TELL" in said, "not measured on both sides" in said) == (3, True, True)


@pytest.mark.process
@pytest.mark.parametrize(("args", "is_open"), [((), True), (("--users", "7"), False)])
def test_both_sides_get_the_same_arrivals_unless_users_are_asked_for(monkeypatch, args, is_open):
    seen = []
    monkeypatch.setattr(ReleaseSession, "prepare", lambda session: seen.append(session.plan.load) or {})
    monkeypatch.setattr(ReleaseSession, "execute", lambda *_: None)
    invoke(*args)
    assert ("rate_unit" in seen[0].given) is is_open
    assert seen[0].settings.arrivals is Process.CONSTANT  # unless --arrivals says otherwise
    assert is_open or seen[0].users == 7
