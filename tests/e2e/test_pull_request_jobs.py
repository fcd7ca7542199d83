"""The jobs for a pull request, start to end: installed from a fresh clone, two real AstrBots, a comment."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from composite_action import Runner
from fake_github import fake_github

pytestmark = [
    pytest.mark.process,
    pytest.mark.astrbot,
    pytest.mark.skipif("not os.environ.get('ASTROMETER_WHOLE')", reason="six minutes: make test-whole"),
    pytest.mark.timeout(1500),
]
ROOT = Path(__file__).parents[2]
SHORT = "--block 12s --warmup 2s --users 4 --tokens 5 --ttft 0.05"
LIMIT_S = 600


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clone") / "astrometer"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", ROOT.as_uri(), str(folder)], check=True)
    return folder


@pytest.fixture
def shims(tmp_path):
    """`python` and `pip` of a fresh environment, as an image has them."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "image")], check=True)
    return f"{tmp_path / 'image' / 'bin'}:{os.environ['PATH']}"


def test_the_action_installs_measures_comments_and_ends_by_the_verdict(
    clone, shims, tmp_path, python_for_astrbot
):
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7}}))
    for name in ("work", "temp"):
        (tmp_path / name).mkdir()
    began_s = time.monotonic()
    with fake_github() as github:
        runner = Runner(
            action=clone, workspace=tmp_path / "work", temp=tmp_path / "temp",
            given={
                "astrbot": "4.29.3", "against": "4.28.2", "budget": "100s", "arguments": SHORT,
                "slo": "errors < 50%",
            },
            environ={
                "PATH": shims, "PYTHONPATH": "", "GITHUB_EVENT_PATH": str(event),
                "GITHUB_API_URL": github.url, "GITHUB_REPOSITORY": "o/r", "GITHUB_RUN_ID": "12",
                "GITHUB_SERVER_URL": "https://github.com",
            },
        )  # fmt: skip
        for name in ("Install astrometer", "Compare", "Summary and comment"):
            done = runner.run(name)
            assert done.returncode == 0, done.stdout + done.stderr
            if name == "Compare":
                assert runner.outputs["exit-code"] in {"0", "1"}, done.stdout + done.stderr
        (comment,) = github.comments
    assert time.monotonic() - began_s < LIMIT_S
    assert "| condition | verdict | why |" in comment["body"]
    assert re.search(r"\| overhead p50 \| .* <sub>n \d+</sub> \|", comment["body"])
    assert "AstrBot 4.29.3 against baseline AstrBot 4.28.2" in comment["body"]
    assert (tmp_path / "work" / "astrometer-release" / "compare.html").is_file()
    assert runner.run("Verdict").returncode == int(runner.outputs["exit-code"])


def test_the_gitlab_job_leaves_its_artifacts(clone, shims, tmp_path, python_for_astrbot):
    page = (ROOT / "docs" / "how-to" / "release-gate.md").read_text("utf-8")
    (block,) = (text for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "image:" in text)
    job = yaml.safe_load(block)["release-gate"]
    install, measure = job["script"]
    install, there = re.subn(r'"git\+https://[^"]+"', f'"{clone}"', install)
    measure = measure.replace("--astrbot ./ --against latest --budget 6m", f"--budget 100s {SHORT}")
    assert there
    began_s = time.monotonic()
    for line in (install, f"{measure} --astrbot 4.29.3 --against 4.28.2"):
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", line],
            cwd=tmp_path, capture_output=True, text=True, check=False,
            env={**os.environ, "PATH": shims, "PYTHONPATH": ""},
        )  # fmt: skip
        assert done.returncode in {0, 1}, done.stdout + done.stderr
    assert time.monotonic() - began_s < LIMIT_S
    (folder,) = job["artifacts"]["paths"]
    assert (tmp_path / folder / "summary.md").is_file()
    assert (tmp_path / job["artifacts"]["reports"]["junit"]).is_file()
