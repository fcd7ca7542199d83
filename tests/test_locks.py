"""The locks can be installed by an old pip, years from now."""

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

LOCKS = Path(__file__).parents[1] / "requirements"


@pytest.mark.parametrize("lock", ["run.txt", "dev.txt"])
def test_an_extra_that_a_locked_library_asks_for_stands_in_the_lock(lock: str) -> None:
    """pip before 23.3 resolves `coverage[toml]` past a pin of `coverage`, then misses its hash."""
    pins = re.findall(r"^([a-z0-9-]+)(?:\[([a-z0-9,-]+)\])?==", (LOCKS / lock).read_text(), re.MULTILINE)
    extras = {name: set(found.split(",")) for name, found in pins}
    missing = {
        f"{name} asks for {wanted}"
        for name in extras
        for wanted in asked_for(name)
        if wanted.extras and not wanted.extras <= extras.get(wanted.name, set())
    }
    assert extras
    assert not missing


def asked_for(name: str) -> list[Requirement]:
    try:
        requires = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []  # locked for another platform
    found = [Requirement(text) for text in requires]
    return [one for one in found if one.marker is None or one.marker.evaluate({"extra": ""})]
