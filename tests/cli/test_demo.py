"""`astrometer demo` as a user runs it: real processes, real signals, what is left."""

import json
import os
import re
import signal
import subprocess
import sys
import tomllib

import httpx
import psutil
import pytest
from click.testing import CliRunner
from processes import descendants, ended_with_the_test
from waiting import until

from astrometer import bundled, exit_codes
from astrometer.cli import main
from astrometer.cli.demo import Simulated, probe_settings
from astrometer.config.loader import load
from astrometer.probing.probe_files import load_folder

PROGRAM = [sys.executable, "-c", "from astrometer.cli import main; main()"]
EXIT_BY_VERDICT = {"PASS": exit_codes.PASS, "FAIL": exit_codes.FAILED, "INVALID": exit_codes.PASS}


def start(folder, *arguments):
    # Whatever the caller's environment points at, the demo talks to its own simulator only.
    environ = {**os.environ, "ASTRBOT_URL": "http://127.0.0.1:9", "ASTRBOT_API_KEY": "not-yours"}
    return subprocess.Popen(
        [*PROGRAM, "demo", "--out", str(folder), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
        cwd=folder.parent,
    )


def first_child(child):
    return until(lambda: descendants(psutil.Process(child.pid)))


def under_load(child):
    """The demo's processes, once its load has asked the simulator something."""
    url = re.search(r"http://[\d.:]+\d", child.stdout.readline())[0]
    until(lambda: httpx.get(f"{url}/sim/stats", trust_env=False).json()["chats_started"])
    return descendants(psutil.Process(child.pid))


def assert_all_gone(processes):
    _, alive = psutil.wait_procs(processes, timeout=10)
    for process in alive:
        process.kill()
    assert alive == []


@pytest.mark.process
def test_the_demo_measures_probes_and_reports(tmp_path):
    folder = tmp_path / "demo-report"
    with ended_with_the_test(start(folder, "--duration", "8s", "--users", "40")) as child:
        family = under_load(child)
        out, err = child.communicate(timeout=90)
    assert_all_gone(family)
    results = json.loads((folder / "results.json").read_text("utf-8"))
    turns = results["turns"]
    assert turns["started"] == sum(turns["outcomes"].values()) > 20
    assert 0.2 <= results["metrics"]["ttft"]["p50"] < 1.0, "the simulated model was told 0.2 s"
    assert results["scenario"] == "mixed"
    assert results["target"]["version"]
    assert "<h1>" in (folder / "report.html").read_text("utf-8")
    assert "TTFT" in out
    assert re.search(rf"^{results['verdict']}  ", out, flags=re.MULTILINE)
    probes = load_folder(bundled.folder("probes")).probes
    for probe in (name for name, file in probes.items() if not file.needs_messenger):
        assert re.search(rf"simulator +{probe} +PASS", out), out + err
    assert str(folder / "report.html") in out
    assert child.returncode == EXIT_BY_VERDICT[results["verdict"]]
    secret = re.compile(r"(abk|ak|sk)[-_][A-Za-z0-9]{16,}")
    assert not secret.search(out + err + json.dumps(results))


@pytest.mark.process
@pytest.mark.parametrize(
    ("number", "reached"),
    [(signal.SIGINT, under_load), (signal.SIGTERM, under_load), (signal.SIGINT, first_child)],
)
def test_an_interrupted_demo_leaves_no_process(tmp_path, number, reached):
    with ended_with_the_test(start(tmp_path / "demo-report", "--duration", "60s", "--users", "5")) as child:
        family = reached(child)
        child.send_signal(number)
        _, err = child.communicate(timeout=30)
    assert_all_gone(family)
    assert child.returncode == 130
    assert "the simulator is stopped" in err


def test_a_nonsense_duration_is_a_usage_error():
    done = CliRunner().invoke(main, ["demo", "--duration", "soon"])
    assert done.exit_code == 2
    assert "not a duration" in done.stderr


def test_the_probes_get_one_key_per_scope(tmp_path, monkeypatch):
    names = ("chat", "config", "file", "im")
    simulated = Simulated(
        url="http://127.0.0.1:1", version="4.29.3", keys=dict.fromkeys(names, "k"), key_ids={"chat": "id-1"}
    )
    text = probe_settings(simulated)
    assert set(tomllib.loads(text)["targets"]["simulator"]["keys"]) == set(names)
    (tmp_path / "astrometer.toml").write_text(text, "utf-8")
    environ = {f"ASTRBOT_DEMO_{name.upper()}_KEY": f"secret-{name}" for name in names}
    target = load(tmp_path / "astrometer.toml", environ).target()
    assert {scope: target.key_for(scope).secret.reveal() for scope in names} == {
        name: f"secret-{name}" for name in names
    }
    assert target.keys["chat"].id == "id-1"
