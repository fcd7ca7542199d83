"""docs/reference: cli.md is what the commands say, probes.md what the probe files do, and metrics.md."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]


def test_the_pages_of_commands_probes_and_metrics_are_up_to_date():
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs/make_reference.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
