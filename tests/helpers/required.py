"""What a machine may lack: its tests are skipped, or fail where $ASTROMETER_REQUIRE names what is missing."""

import os
import shutil
from importlib.util import find_spec

import pytest


def needs(component: str, *programs: str) -> None:
    """Programs of a component (`promtool`: Prometheus and its tools, `browser`, `nginx`) that a test runs."""
    _give_up(component, [program for program in programs if shutil.which(program) is None], "not on PATH")


def needs_extra(extra: str, module: str) -> None:
    """The package of an extra (`history`, `notify`, `parquet`); also at the top of a file, for all its tests.

    It is not imported for that: some take seconds, and every worker of pytest collects every file.
    """
    _give_up(extra, [module] if find_spec(module) is None else [], "not installed")


def _give_up(component: str, missing: list[str], why: str) -> None:
    if not missing:
        return
    if component in os.environ.get("ASTROMETER_REQUIRE", "").replace(",", " ").split():
        pytest.fail(f"ASTROMETER_REQUIRE asks for {component}: {', '.join(missing)} {why}")
    pytest.skip(f"{', '.join(missing)} {why}", allow_module_level=True)
