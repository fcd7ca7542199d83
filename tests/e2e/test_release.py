"""A whole release test on two real AstrBots. What is judged here is that it says something, not what."""

import json
import os
import subprocess
import sys
from xml.etree import ElementTree as ET

import httpx
import pytest
from astrbot_plugins import write_plugin

from astrometer.targets.sandbox.index_versions import latest_version

pytestmark = [pytest.mark.process, pytest.mark.alone]  # a server is to start within 55 seconds


def wheel_of(version, folder):
    """The wheel of a release, as one would build it from a checkout."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += ["--python-version", "3.12", "--dest", str(folder), f"AstrBot=={version}"]
    subprocess.run(command, check=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.mark.astrbot
@pytest.mark.timeout(600)
def test_a_wheel_is_tested_against_a_release_and_leaves_a_report_and_no_server(tmp_path, python_for_astrbot):
    version = latest_version()
    wheel = wheel_of(version, tmp_path)
    out = tmp_path / "out"
    plugin = write_plugin(tmp_path / "plugin", "hello", requirements="packaging\n")
    patch = tmp_path / "fast.json"
    patch.write_text('{"provider_settings": {"datetime_system_prompt": false}}')
    done = subprocess.run(
        [
            *(sys.executable, "-m", "astrometer", "release", "--astrbot", str(wheel), "--against", "4.28.2"),
            *("--scenario", "chat", "--budget", "36s", "--users", "4", "--tokens", "5", "--ttft", "0.05"),
            *("--block", "6s", "--warmup", "1s", "--slo", "errors < 50%"),
            *("--plugin", str(plugin), "--config-patch", str(patch)),
            *("--out", str(out)),
        ],
        env=os.environ, capture_output=True, text=True, timeout=580, check=False,
    )  # fmt: skip
    assert done.returncode in {0, 1, 3}, done.stdout + done.stderr
    told = json.loads((out / "compare.json").read_text("utf-8"))
    for role in ("baseline", "candidate"):
        assert [run["name"] for run in told[role]] == [f"{role} {number}" for number in (1, 2, 3)]
    assert told["sequence"]["pairs"] == 3
    assert told["checks"][0]["text"] == "candidate: errors < 50%"
    assert "<h1>" in (out / "compare.html").read_text("utf-8")
    assert told["candidate"][0]["version"] == f"{version} ({wheel.name}) + plugin hello + config fast.json"
    assert len(list(ET.parse(out / "junit.xml").getroot().iter("testcase"))) == 3
    for role in ("baseline", "candidate"):
        for name in ("report.html", "junit.xml"):
            assert (out / role / "1" / name).is_file()
        assert told[role][0]["url"].startswith("http://127.0.0.1:")
        with pytest.raises(httpx.ConnectError):
            httpx.get(told[role][0]["url"], trust_env=False)
