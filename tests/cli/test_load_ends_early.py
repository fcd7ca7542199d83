"""Long runs that end in seconds: a broken objective, a spent budget. Real Locust, simulated AstrBot."""

import os
import subprocess
import sys

import pytest

from astrometer.measure.results import document
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import SimulatorConfig

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def target():
    app = Simulator(SimulatorConfig())
    with serve(app) as url:
        yield url, app.config.keys


def load(url, key, place, *args):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ASTR", "LOCUST"))}
    own = {"ASTRBOT_API_KEY": key.secret, "ASTROMETER_STATE": str(place / "state")}
    done = subprocess.run(
        [sys.executable, "-m", "astrometer", "load", "--host", url, "-t", "100s", "--out", "out", *args],
        env={**kept, **own}, cwd=place, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert (place / "out" / "results.json").exists(), done.stdout + done.stderr
    return done, document.read(place / "out")


def test_an_objective_that_is_not_met_aborts_the_run_by_name(target, tmp_path):
    url, keys = target
    done, found = load(
        url, keys["revoked"], tmp_path, "reads", "-u", "2", "--no-check", "--abort-on-fail", "0s",
        "--slo", "errors < 1%",
    )  # fmt: skip
    assert found["stopped"]["by"] == "objective"
    assert found["stopped"]["objective"] == "errors < 1%"
    assert found["stopped"]["at_s"] < 60
    assert found["objectives"][0]["value"] == 1.0
    assert found["turns"]["started"] == sum(found["turns"]["outcomes"].values()) > 0
    # A machine that is too busy makes it INVALID, and then nothing has failed.
    assert (done.returncode, found["verdict"]) in ((1, "FAIL"), (3, "INVALID"))
    assert "Aborted after" in done.stdout
    for name in ("report.html", "summary.md", "junit.xml"):
        assert "was not met: 100.00%" in (tmp_path / "out" / name).read_text("utf-8").replace("\\", "")


def test_a_token_budget_ends_the_run_with_what_was_measured(target, tmp_path):
    url, keys = target
    done, found = load(
        url, keys["all"], tmp_path, "chat", "-u", "2", "--budget-tokens", "2000", "--deletable",
        "--", "--prompt-suffix", "[[ttft=0.01 gap=0 tokens=5]]",
    )  # fmt: skip
    assert found["stopped"]["by"] == "budget"
    assert "the token budget of 2,000 was spent" in found["stopped"]["sentence"]
    assert found["stopped"]["at_s"] < 60
    assert found["turns"]["started"] == sum(found["turns"]["outcomes"].values()) >= 1
    assert done.returncode in (0, 3)
    assert "Stopped early after" in done.stdout
    # --deletable: one user for all, whose sessions are ours by name.
    assert found["names"]["username"] == f"api_key:{keys['all'].key_id}"
    made = found["names"]["sessions"]  # a turn each; of one that was cut off before its answer, none is known
    assert 1 <= made <= found["turns"]["started"], found["turns"]
    assert f"Left on the server: {made} session" in done.stderr
    assert (tmp_path / "state" / "runs.jsonl").read_text().count(found["names"]["run_id"]) == 2
