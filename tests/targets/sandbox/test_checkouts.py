"""Installing a wheel or a checkout, with uv and without an index: the project needs nothing but itself."""

import subprocess
import sys
from pathlib import Path

import fake_astrbot
import pytest
import uv

from astrometer.targets.sandbox.box import SandboxOptions, sandbox
from astrometer.targets.sandbox.install import Installation, InstallError, install

pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    """Any Python will do for a project that is one file."""
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("ASTROMETER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("astrometer.targets.sandbox.install.find_python", lambda: Path(sys.executable))


def build(checkout, into):
    command = [uv.find_uv_bin(), "build", "--wheel", "--python", sys.executable, "--out-dir", into, checkout]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = into.glob("*.whl")
    return wheel


def test_a_checkout_is_installed_once_and_anew_when_it_was_edited(tmp_path):
    path = fake_astrbot.checkout(tmp_path / "AstrBot")
    said = []
    first = install(str(path), said.append)
    assert install(str(path), said.append) == first
    assert len(said) == 1

    fake_astrbot.edit(path, "edited")
    second = install(str(path), said.append)
    assert second.directory != first.directory
    assert (fake_astrbot.says(first), fake_astrbot.says(second)) == ("one", "edited")


def test_a_wheel_is_installed_by_its_content(tmp_path):
    path = fake_astrbot.checkout(tmp_path / "AstrBot")
    wheel = build(path, tmp_path / "dist")
    first = install(str(wheel))
    assert (first.version, fake_astrbot.says(first)) == ("4.30.0", "one")
    fake_astrbot.edit(path, "rebuilt")
    build(path, tmp_path / "dist")
    assert fake_astrbot.says(install(str(wheel))) == "rebuilt"


@pytest.mark.parametrize("version", ["4.30.0-beta.1", "4.30.0+local", "4.30.0rc1"])
def test_a_checkout_and_a_wheel_of_a_pre_release_can_be_installed(tmp_path, version):
    path = fake_astrbot.checkout(tmp_path / "AstrBot", version=version)
    assert install(str(path)).version == version
    assert fake_astrbot.says(install(str(build(path, tmp_path / "dist")))) == "one"


@pytest.mark.parametrize(("version", "why"), [("dev", "its version 'dev'"), ("4.9.0", "no HTTP API")])
def test_a_checkout_of_a_version_that_will_not_do_is_named(tmp_path, version, why):
    path = fake_astrbot.checkout(tmp_path / "AstrBot", version=version)
    with pytest.raises(InstallError, match=why) as caught:
        install(str(path))
    assert str(path) in str(caught.value)


def test_neither_the_cache_nor_a_pyproject_above_it_is_of_the_checkout(tmp_path, monkeypatch):
    path = fake_astrbot.checkout(tmp_path / "AstrBot")
    monkeypatch.setenv("ASTROMETER_CACHE", str(path / ".astrometer-cache"))
    with (path / "pyproject.toml").open("a") as file:
        file.write("\n[tool.uv]\nno-build = true\n")  # of the developers' own uv
    first = install(str(path))
    assert first.directory.is_relative_to(path / ".astrometer-cache")
    assert install(str(path)) == first


def test_a_sandbox_starts_the_installation_that_it_is_given(tmp_path):
    given = Installation(version="4.30.0", directory=tmp_path / "given")
    with (
        pytest.raises(FileNotFoundError, match="given/bin/astrbot"),
        sandbox(SandboxOptions(installation=given)),
    ):
        pass


def test_a_checkout_whose_content_has_a_name_is_not_looked_at(tmp_path):
    path = fake_astrbot.checkout(tmp_path / "AstrBot")
    first = install(str(path), digest="0123456789abcdef")
    fake_astrbot.edit(path, "edited")
    assert install(str(path), digest="0123456789abcdef") == first
    assert first.directory.name == "4.30.0-local-0123456789ab"
