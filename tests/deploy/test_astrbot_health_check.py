"""The health check for AstrBot's own compose and Kubernetes files, as docs/how-to/deployment.md offers it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from astrometer.probing import START_TIME
from astrometer.targets.sandbox.server_process import free_port

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "deployment.md").read_text("utf-8")
SECTION = PAGE.partition("## A health check for AstrBot itself")[2].partition("\n## ")[0]
COMPOSE, KUBERNETES = (
    yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL)
)


def checked(port):
    _, _, *command = COMPOSE["services"]["astrbot"]["healthcheck"]["test"]
    command = [word.replace(":6185/", f":{port}/") for word in command]
    # A proxy for the model's API, as many containers have it, is not asked about the loopback.
    environ = {**os.environ, "http_proxy": "http://127.0.0.1:9", "no_proxy": ""}
    return subprocess.run(
        [sys.executable, *command], env=environ, capture_output=True, timeout=30, check=False
    )


@pytest.mark.process
@pytest.mark.astrbot
def test_a_real_astrbot_is_healthy(real_astrbot):
    done = checked(real_astrbot("latest").port)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.process
def test_a_server_that_is_not_there_is_unhealthy():
    assert checked(free_port()).returncode == 1


def test_both_ask_what_needs_no_key_and_docker_waits_longer_than_the_command():
    check = COMPOSE["services"]["astrbot"]["healthcheck"]
    assert START_TIME.path in check["test"][-1]
    assert {probe["httpGet"]["path"] for probe in KUBERNETES.values()} == {START_TIME.path}
    command_s = int(re.search(r"timeout=(\d+)", check["test"][-1]).group(1))
    assert command_s < int(check["timeout"].removesuffix("s"))
