"""What a machine may lack: its tests are skipped, or fail where $ASTROMETER_REQUIRE names what is missing."""

import os
import shutil

import pytest


def needs(component: str, *programs: str) -> None:
    """Programs of a component (`promtool`: Prometheus and its tools, `browser`, `nginx`) that a test runs."""
    missing = ", ".join(program for program in programs if shutil.which(program) is None)
    if not missing:
        return
    if component in os.environ.get("ASTROMETER_REQUIRE", "").replace(",", " ").split():
        pytest.fail(f"ASTROMETER_REQUIRE asks for {component}: {missing} not on PATH")
    pytest.skip(f"{missing} not on PATH")
