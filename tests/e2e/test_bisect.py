"""A bisection on real AstrBots, as short as it can be: two neighbours, the newer known to mend it."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.process,
    pytest.mark.astrbot,
    pytest.mark.skipif("not os.environ.get('ASTROMETER_WHOLE')", reason="ten minutes: make test-whole"),
]


@pytest.mark.timeout(900)
def test_the_release_that_ended_the_pacing_of_answers_is_found(tmp_path, python_for_astrbot):
    """Up to 4.26.5 each piece of an answer waits for 50 ms."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "astrometer", "bisect", "--good", "4.26.6", "--bad", "4.26.5", "--yes"),
            *("--scenario", "chat", "--fail-if", "e2e_p50 worse by 50%", "--budget", "1m", "--block", "10s"),
            *("--users", "20", "--tokens", "20", "--ttft", "0.05", "--warmup", "1s"),
            *("--out", str(tmp_path / "out")),
        ],
        env=os.environ, capture_output=True, text=True, timeout=880, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4.26.6 mended it: it is the first good one; 4.26.5 is the last bad one." in done.stdout
    told = json.loads((tmp_path / "out" / "bisect.json").read_text("utf-8"))
    assert [(step["name"], step["is"]) for step in told["steps"]] == [("4.26.6", "good"), ("4.26.5", "bad")]
    assert told["steps"][1]["changes"]["e2e_p50"]["interval"][0] > 0.5
    assert told["links"][0] == "https://github.com/AstrBotDevs/AstrBot/compare/v4.26.5...v4.26.6"
