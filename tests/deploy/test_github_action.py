"""action.yml: what a runner needs is there, astrometer takes its commands, and one comment is updated."""

import json
import re
import shutil
import sys
from pathlib import Path

import click
import pytest
import yaml
from composite_action import Runner
from fake_github import fake_github

from astrometer.cli import main

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
STEPS = ACTION["runs"]["steps"]


def test_it_is_a_composite_action_and_each_step_runs_or_uses():
    assert ACTION["runs"]["using"] == "composite"
    assert {"name", "description", "inputs", "outputs", "runs"} == set(ACTION)
    for step in STEPS:
        assert ("run" in step) != ("uses" in step)
        assert set(step) <= {"name", "id", "if", "shell", "env", "run", "uses", "with"}
        if "run" in step:
            assert step["shell"] == "bash"
        else:
            assert re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"])


def test_inputs_reach_scripts_through_the_environment_only():
    """Text of a pull request in a script would be run."""
    assert [step["name"] for step in STEPS if "${{" in step.get("run", "")] == []


def test_every_input_is_used_and_every_use_is_declared():
    used = set(re.findall(r"inputs\.([\w-]+)", (ROOT / "action.yml").read_text("utf-8")))
    assert used == set(ACTION["inputs"])
    for told in ACTION["inputs"].values():
        assert set(told) == {"description", "default"}


def test_it_needs_no_secret():
    assert "secrets." not in (ROOT / "action.yml").read_text("utf-8")


@pytest.fixture
def job(tmp_path):
    """The action with an `astrometer` that writes down what it was asked."""

    def made(code=0, **given):
        tools = tmp_path / "temp" / "astrometer" / "bin"
        tools.mkdir(parents=True)
        (tools / "astrometer").write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$@" > "{tmp_path}/asked"\nmkdir -p "$OUT"\n'
            f'echo "### told" > "$OUT/summary.md"\nexit {code}\n'
        )
        (tools / "astrometer").chmod(0o755)
        shims = tmp_path / "bin"
        shims.mkdir()
        (shims / "python").symlink_to(sys.executable)
        (tmp_path / "event.json").write_text(json.dumps({"pull_request": {"number": 7}}))
        (tmp_path / "work").mkdir()
        return Runner(
            action=ROOT, workspace=tmp_path / "work", temp=tmp_path / "temp", given=given,
            environ={
                "PATH": f"{shims}:/usr/bin:/bin", "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
                "GITHUB_REPOSITORY": "o/r", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_RUN_ID": "12",
                "GITHUB_API_URL": "http://127.0.0.1:9",
            },
        )  # fmt: skip

    return made


def asked(tmp_path):
    return (tmp_path / "asked").read_text().splitlines()


@pytest.mark.process
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"plugin": "./plugin", "astrbot": "latest", "against": ""},
        {
            "fail-if": "",
            "accept-undecided": "false",
            "arguments": "--block 10s --users 4",
            "scenario": "mixed",
        },
    ],
)
def test_it_asks_what_astrometer_takes(job, tmp_path, given, monkeypatch):
    plugin = tmp_path / "work" / "plugin"
    done = job(**given).run("Compare")
    assert done.returncode == 0, done.stderr
    words = asked(tmp_path)
    plugin.mkdir()
    (plugin / "metadata.yaml").write_text("name: hello\n")
    (plugin / "main.py").write_text("")
    monkeypatch.chdir(tmp_path / "work")
    context = main.get_command(click.Context(main), "release").make_context("release", words[1:])
    assert [gate.text for gate in context.params["gates"]] == (
        [] if "fail-if" in given else ["overhead_p50 worse by 25%", "errors worse by 2pp"]
    )
    assert context.params["accept_undecided"] is (given.get("accept-undecided") != "false")
    assert context.params["baseline"] == (None if given.get("against") == "" else "latest")


@pytest.mark.process
@pytest.mark.parametrize("code", [0, 1, 3, 4])
def test_the_job_ends_with_the_code_of_the_test_after_the_reports(job, code):
    runner = job(code)
    assert runner.run("Compare").returncode == 0  # so that what follows runs
    assert runner.outputs["exit-code"] == str(code)
    assert runner.run("Verdict").returncode == code


@pytest.mark.process
def test_one_comment_is_written_and_then_changed(job):
    with fake_github() as github:
        runner = job()
        runner.environ["GITHUB_API_URL"] = github.url
        for _ in range(120):  # more than a page
            github.add("hello")
        github.add("<!-- astrometer: astrometer-release --> quoted by a person")
        runner.run("Compare")
        for _ in range(2):
            done = runner.run("Summary and comment")
            assert (done.returncode, done.stdout) == (0, ""), done.stderr
        (ours,) = (item for item in github.comments if item["user"]["type"] == "Bot")
        assert len(github.comments) == 122
        assert ours["body"].startswith("<!-- astrometer: astrometer-release -->\n### told\n")
        assert "(https://github.com/o/r/actions/runs/12)" in ours["body"]
        assert github.tokens == {"Bearer a-token"}
    assert "### told" in runner.summary


@pytest.mark.process
@pytest.mark.parametrize(
    ("told", "code", "end"),
    [
        (
            "### ❔ astrometer compare: CANNOT TELL",
            0,
            " · exit code 0: what cannot be told is accepted (`accept-undecided`)",
        ),
        ("### ❔ astrometer compare: CANNOT TELL", 3, " · exit code 3"),
        ("### ✅ astrometer compare: PASS", 0, " · exit code 0"),
    ],
)
def test_the_comment_says_how_the_job_ends(job, told, code, end):
    runner = job(code)
    runner.run("Compare")
    summary = runner.workspace / "astrometer-release" / "summary.md"
    summary.write_text(f"{told}\n", "utf-8")
    runner.run("Summary and comment")
    assert runner.summary.rstrip().endswith(f"actions/runs/12){end}")


@pytest.mark.process
def test_a_fork_without_the_right_to_comment_gets_the_summary_and_a_warning(job):
    with fake_github() as github:
        runner = job()
        runner.environ["GITHUB_API_URL"] = github.url
        github.refuses = 403
        runner.run("Compare")
        done = runner.run("Summary and comment")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("::warning::No comment in the pull request: GitHub answered 403")
    assert "### told" in runner.summary


@pytest.mark.process
def test_a_test_that_left_no_summary_says_so(job, tmp_path):
    runner = job(4, comment="false")
    runner.run("Compare")
    shutil.rmtree(runner.workspace / "astrometer-release")
    assert runner.run("Summary and comment").returncode == 0
    assert "no result" in runner.summary
    assert "exit code 4" in runner.summary
