"""The commands that the Locust operator makes of locusttest.yaml, run as processes of this machine.

The operator splits a command at white space (no quoting) and appends its own arguments; what it appends is
written down here from its source (`internal/resources/command.go`, API locust.io/v2).
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import yaml
from own_master import free_port

from astrometer import bundled
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import SimulatedRateLimit, SimulatorConfig

pytestmark = pytest.mark.process

SPEC = yaml.safe_load((Path(__file__).parents[2] / "deploy/kubernetes/locusttest.yaml").read_text())["spec"]
WORKERS = 2


def arguments(role, **changes):
    """Of the manifest, with what differs between a cluster and this machine put in its place."""
    words = SPEC[role]["command"].split()
    words[words.index("--locustfile") + 1] = str(bundled.find("locustfiles", "mixed"))
    for name, value in changes.items():
        option = "--" + name.replace("_", "-")
        words[words.index(option) + 1] = str(value)
    return words


def metrics(url):
    """Of the running test, as podmonitor.yaml has it scraped."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        with contextlib.suppress(httpx.TransportError):
            page = httpx.get(url, trust_env=False, timeout=5).text
            if "astrbot_load_run_info{" in page:
                return page
        time.sleep(0.2)
    return ""


def test_the_operators_commands_run_a_distributed_test_to_its_verdict(tmp_path):
    simulator = Simulator(SimulatorConfig(rate_limit=SimulatedRateLimit(strategy="off")))
    secret = simulator.config.keys["all"].secret
    port, web = str(free_port()), str(free_port())
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ASTR", "LOCUST"))}

    def locust(*words):
        command = [sys.executable, "-m", "locust", *words, f"--master-port={port}"]
        environment = {**clean, "ASTRBOT_API_KEY": secret}
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd=tmp_path)

    with serve(simulator) as url:
        load = {
            "host": url,
            "users": 6,
            "spawn_rate": 6,
            "run_time": "4s",
            "stop_timeout": 2,
            "warmup": "1s",
        }
        here = ["--master-bind-host", "127.0.0.1", "--master-bind-port", port]
        here += ["--web-host", "127.0.0.1", "--web-port", web]
        operators = ["--master", f"--expect-workers={WORKERS}", "--autostart", "--autoquit", "5"]
        operators += ["--enable-rebalancing", "--only-summary"]
        master = locust(*arguments("master", **load, astrometer_out=tmp_path), *operators, *here)
        workers = [
            locust(*arguments("worker"), "--worker", "--master-host=127.0.0.1") for _ in range(WORKERS)
        ]
        try:
            scraped = metrics(f"http://127.0.0.1:{web}/metrics")
            outputs = [process.communicate(timeout=90)[1] for process in (master, *workers)]
        finally:
            for process in (master, *workers):
                process.kill()
                process.wait(timeout=10)
    assert "astrbot_load_run_info{" in scraped
    results_file = tmp_path / "results.json"
    assert results_file.exists(), outputs[0][-3000:]
    results = json.loads(results_file.read_text())
    assert results["generator"]["processes"] == WORKERS
    assert results["turns"]["started"] == sum(results["turns"]["outcomes"].values()) > 0
    assert len(results["objectives"]) == 2
    assert not re.search(re.escape(secret), "".join(outputs))
