"""Plain `locust` processes against the simulator; Locust patches its process, so it is never pytest's."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass

import httpx
import pytest
from own_master import own_master

from astrometer import bundled
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import SimulatedRateLimit, SimulatorConfig

LOCUST = [sys.executable, "-m", "locust"]
EXIT_CODES = {"PASS": 0, "FAIL": 1, "INVALID": 3}  # NONE: as Locust says


@dataclass(kw_only=True)
class Sim:
    url: str
    app: Simulator

    @property
    def key(self):
        return self.app.config.keys["all"].secret

    def served(self):
        return httpx.get(f"{self.url}/sim/stats").json()["requests"]

    def environment(self, key=None):
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("ASTR", "LOCUST"))}
        return {**clean, "ASTRBOT_API_KEY": key or self.key}

    def command(self, file, *options, seconds=3, users=6):
        path = file if file.endswith(".py") else str(bundled.find("locustfiles", file))
        return [
            *LOCUST, "-f", path, "--host", self.url, "--headless", "-u", str(users), "-r", str(users),
            "-t", f"{seconds}s", "--only-summary", *own_master(options), *options,
        ]  # fmt: skip

    def locust(self, file, *options, out, key=None, cwd=None, **kwargs):
        """Run to the end; returns (results, process). It exits by its verdict, if there is one."""
        done = subprocess.run(
            self.command(file, *options, "--astrometer-out", str(out), **kwargs),
            env=self.environment(key),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=cwd,
        )
        file = out / "results.json"
        assert file.exists(), done.stderr[-3000:]
        results = json.loads(file.read_text())
        assert done.returncode == EXIT_CODES.get(results["verdict"], done.returncode), done.stderr[-3000:]
        return results, done


@pytest.fixture
def make_sim():
    """`make_sim(version)`: a simulator, gone at the end of the test."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(version="4.29.3"):
            app = Simulator(SimulatorConfig(version=version, rate_limit=SimulatedRateLimit(strategy="off")))
            return Sim(url=stack.enter_context(serve(app)), app=app)

        yield start


@pytest.fixture
def sim(make_sim):
    return make_sim()
