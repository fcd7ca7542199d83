"""A whole release test on two real AstrBots. What is judged here is that it says something, not what."""

import json
import os
import subprocess
import sys

import pytest


@pytest.mark.astrbot
@pytest.mark.timeout(600)
def test_a_release_is_tested_against_another_and_leaves_a_report_and_no_server(tmp_path):
    if sys.platform == "win32":
        pytest.skip("sandboxes need a POSIX system")
    out = tmp_path / "out"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "astrometer", "release", "--astrbot", "latest", "--against", "4.28.2"),
            *("--scenario", "chat", "--repeat", "1", "--users", "4", "--tokens", "5", "--ttft", "0.05"),
            *("--duration", "8s", "--warmup", "1s", "--tries", "1", "--slo", "errors < 50%"),
            *("--out", str(out)),
        ],
        env=os.environ, capture_output=True, text=True, timeout=580, check=False,
    )  # fmt: skip
    assert done.returncode in {0, 1, 3}, done.stdout + done.stderr
    told = json.loads((out / "compare.json").read_text("utf-8"))
    assert [run["name"] for run in told["baseline"]] == ["baseline 1"]
    assert [run["name"] for run in told["candidate"]] == ["candidate 1"]
    assert told["checks"][0]["text"] == "candidate: errors < 50%"
    assert "<h1>" in (out / "compare.html").read_text("utf-8")
    for role in ("baseline", "candidate"):
        assert (out / role / "1" / "report.html").is_file()
        assert told[role][0]["url"].startswith("http://127.0.0.1:")
