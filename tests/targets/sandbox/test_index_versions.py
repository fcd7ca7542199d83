"""Which versions there are, asked of a uv that knows a few."""

import sys
from pathlib import Path

import pytest

from astrometer.targets.sandbox.index_versions import latest_version, versions_between
from astrometer.targets.sandbox.install import InstallError

pytestmark = pytest.mark.process

# As uv does: the newest that fits, and a pre-release only where the requirement names one.
UV = """#!{python}
import sys
from packaging.specifiers import SpecifierSet
known = ["4.17.0", "4.28.2", "4.29.0", "4.29.0b1", "4.29.0b2", "4.30.0", "4.28.1"]
asked = SpecifierSet(sys.stdin.read().strip().removeprefix("astrbot"))
found = list(asked.filter(known))
if not found:
    sys.exit("No solution found")
print("astrbot==" + max(found, key=lambda text: (text.split("b")[0], text.partition("b")[2] or "9")))
"""


@pytest.fixture(autouse=True)
def index(tmp_path, monkeypatch):
    path = tmp_path / "uv"
    path.write_text(UV.format(python=sys.executable))
    path.chmod(0o755)
    monkeypatch.setattr("uv.find_uv_bin", lambda: str(path))
    monkeypatch.setattr("astrometer.targets.sandbox.index_versions.find_python", lambda: Path(sys.executable))


def test_all_versions_from_the_good_to_the_bad_one_without_pre_releases():
    assert versions_between("4.28.1", "4.30.0") == ["4.28.1", "4.28.2", "4.29.0", "4.30.0"]
    assert versions_between("4.29.0", "4.28.1") == ["4.29.0", "4.28.2", "4.28.1"]
    assert latest_version() == "4.30.0"


def test_a_pre_release_may_be_an_end():
    assert versions_between("4.28.2", "4.29.0-beta.2") == ["4.28.2", "4.29.0b1", "4.29.0b2"]


@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [
        ("4.28.2", "4.29.5", "no AstrBot 4.29.5"),
        ("4.28.0", "4.30.0", "no AstrBot 4.28.0"),
        ("4.28.2", "main", "Invalid version: 'main': expected a version such as 4.29.3"),
    ],
)
def test_an_end_that_is_not_on_the_index_is_named(good, bad, told):
    with pytest.raises(InstallError, match=told):
        versions_between(good, bad)
