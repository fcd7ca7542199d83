"""The libraries of plugins: in an environment of their own, the version's stays as it is."""

import pytest

from astrometer.targets.sandbox.install import MARKER, Installation, InstallError
from astrometer.targets.sandbox.plugin_libraries import with_libraries

pytestmark = pytest.mark.process

# Notes what it was asked, and installs a library as uv does: a new file beside the others.
UV = """#!/bin/sh
echo "$@" >> {log}
[ -e {fails} ] && echo "no solution found" >&2 && exit 1
touch "$(dirname "$(dirname "$8")")/lib/python3.12/site-packages/emoji.py"
"""


@pytest.fixture
def base(tmp_path, monkeypatch):
    directory = tmp_path / "astrbot" / "4.29.3"
    site = directory / "lib" / "python3.12" / "site-packages"
    for name, version, more in (
        ("AstrBot", "4.29.3", "Requires-Dist: aiohttp>=3\n"),
        ("aiohttp", "3.11.0", ""),
    ):
        info = site / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}")
    (directory / "bin").mkdir()
    (directory / "bin" / "python").symlink_to("/bin/sh")
    (directory / "bin" / "astrbot").write_text(f"#!{directory}/bin/python\n")
    (directory / MARKER).write_text("{}")
    uv = tmp_path / "uv"
    uv.write_text(UV.format(log=tmp_path / "asked", fails=tmp_path / "fails"))
    uv.chmod(0o755)
    monkeypatch.setattr("uv.find_uv_bin", lambda: str(uv))
    return Installation(version="4.29.3", directory=directory)


def files(directory):
    return {
        str(file.relative_to(directory)): file.read_bytes()
        for file in directory.rglob("*.*")
        if file.is_file()
    }


@pytest.fixture
def requirements(tmp_path):
    file = tmp_path / "requirements.txt"
    file.write_text("emoji\n")
    return [file]


def test_without_requirements_it_is_the_versions_own_environment(base):
    assert with_libraries(base, []) is base


def test_they_are_installed_into_a_copy_and_only_once(base, requirements, tmp_path):
    before = files(base.directory)
    script = base.astrbot.read_text()
    made = with_libraries(base, requirements)
    assert files(base.directory) == before
    assert base.astrbot.read_text() == script
    assert (made.directory / "lib/python3.12/site-packages/emoji.py").exists()
    assert made.astrbot.read_text() == f"#!{made.directory}/bin/python\n"
    assert (made.directory / "astrbot-libraries.txt").read_text() == "aiohttp==3.11.0\n"
    assert with_libraries(base, requirements) == made
    (asked,) = (tmp_path / "asked").read_text().splitlines()
    assert asked.endswith(f"-c {made.directory}/astrbot-libraries.txt -r {requirements[0]}")


def test_a_copy_whose_libraries_could_not_be_installed_does_not_count(base, requirements, tmp_path):
    (tmp_path / "fails").touch()
    with pytest.raises(InstallError, match="no solution found"):
        with_libraries(base, requirements)
    (tmp_path / "fails").unlink()
    made = with_libraries(base, requirements)
    assert (made.directory / "lib/python3.12/site-packages/emoji.py").exists()
