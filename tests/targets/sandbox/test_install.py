"""The cache of AstrBot environments; the real index is asked only by the test marked astrbot."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from astrometer.targets.sandbox.box import sandbox
from astrometer.targets.sandbox.find_python import NoPythonError, find_python, index_environment
from astrometer.targets.sandbox.index_versions import latest_version
from astrometer.targets.sandbox.install import MARKER, InstallError, cache_root, install, libraries_until

pytestmark = pytest.mark.process


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("version", "day"),
    [
        ((4, 18, 0), "2026-02-25"),
        ((4, 19, 2), "2026-03-20"),
        ((4, 26, 1), "2026-08-01"),
        ((4, 28, 2), "2026-10-01"),
        ((4, 29, 0), None),
        ((5, 0, 0), None),
    ],
)
def test_a_version_gets_the_libraries_of_its_day_or_of_the_next_measured_version(version, day):
    assert libraries_until(version) == day


@pytest.mark.parametrize(
    ("version", "says"),
    [
        ("4.17.9", "has no HTTP API"),
        ("newest", "expected one like 4.29.3, latest"),
        ("4.18", "expected one like"),
    ],
)
def test_a_version_that_cannot_be_had_is_refused_before_anything_is_made(
    tmp_path, monkeypatch, version, says
):
    monkeypatch.setenv("ASTROMETER_CACHE", str(tmp_path))
    with pytest.raises(InstallError, match=says):
        install(version)
    assert list(tmp_path.iterdir()) == []


def test_the_cache_can_be_moved(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROMETER_CACHE", str(tmp_path / "here"))
    assert cache_root() == tmp_path / "here"


@pytest.mark.parametrize("start", [lambda: install("4.29.3"), lambda: sandbox().__enter__()])
def test_a_cache_that_cannot_be_written_is_named_with_the_cure(tmp_path, monkeypatch, start):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ASTROMETER_CACHE", str(tmp_path / "file"))
    monkeypatch.setenv("ASTROMETER_ASTRBOT_PYTHON", str(script(tmp_path / "python", "echo 3 12")))
    with pytest.raises(InstallError, match=r"file: nothing can be written there .* with ASTROMETER_CACHE"):
        start()


def test_a_python_that_does_not_run_is_refused_and_named(tmp_path, monkeypatch):
    broken = script(tmp_path / "python3.12", "echo 'not installed' >&2; exit 127")
    monkeypatch.setenv("ASTROMETER_ASTRBOT_PYTHON", str(broken))
    with pytest.raises(NoPythonError, match="ASTROMETER_ASTRBOT_PYTHON"):
        find_python()


def test_a_python_too_old_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROMETER_ASTRBOT_PYTHON", str(script(tmp_path / "python", "echo 3 11")))
    with pytest.raises(NoPythonError, match=r"3\.12"):
        find_python()


def test_a_broken_shim_on_the_path_is_passed_over(tmp_path, monkeypatch):
    shims, working = tmp_path / "shims", tmp_path / "bin"
    shims.mkdir()
    working.mkdir()
    script(shims / "python3.12", "exit 127")
    script(working / "python3.13", "echo 3 13")
    monkeypatch.delenv("ASTROMETER_ASTRBOT_PYTHON", raising=False)
    monkeypatch.setenv("PATH", f"{shims}:{working}")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "none"))
    monkeypatch.setattr(sys, "executable", str(script(tmp_path / "own", "echo 3 11")))
    assert find_python() == working / "python3.13"


def test_without_any_python_the_error_names_the_cure(tmp_path, monkeypatch):
    monkeypatch.delenv("ASTROMETER_ASTRBOT_PYTHON", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "none"))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "none"))
    monkeypatch.setattr(sys, "executable", str(script(tmp_path / "own", "echo 3 11")))
    monkeypatch.setattr("uv.find_uv_bin", lambda: str(script(tmp_path / "uv", "exit 2")))
    with pytest.raises(NoPythonError, match="uv python install"):
        find_python()


def test_the_index_that_only_pip_knows_is_passed_to_uv_in_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "https://me:secret@index.example/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://a.example/simple https://b.example/simple")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    added = index_environment({"XDG_CONFIG_HOME": str(tmp_path), "SSL_CERT_FILE": "mine"})
    assert added == {
        "UV_DEFAULT_INDEX": "https://me:secret@index.example/simple",
        "UV_INDEX": "https://a.example/simple https://b.example/simple",
    }


@pytest.mark.parametrize("own", ["UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX"])
def test_an_index_of_uvs_own_is_left_alone(monkeypatch, tmp_path, own):
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple")
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "SSL_CERT_FILE": "mine", own: "https://own.example"}
    assert index_environment(environ) == {}


def test_the_password_of_an_index_does_not_reach_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROMETER_CACHE", str(tmp_path))
    monkeypatch.setattr(
        "uv.find_uv_bin", lambda: str(script(tmp_path / "uv", "echo https://me:pw@host/ >&2; exit 1"))
    )
    with pytest.raises(InstallError, match=r"https://\*\*\*@host") as caught:
        latest_version()
    assert "pw" not in str(caught.value)


# Makes an environment as uv does, and fails to install into it.
FAILING_UV = """
case "$4" in
    venv) for last; do :; done; mkdir -p "$last/bin" && ln -s /bin/sh "$last/bin/python" ;;
    *) [ -e "{there}/bin/python" ] && echo "no version of astrbot==4.29.33" >&2; exit 1 ;;
esac
"""


def test_a_failed_install_leaves_nothing_in_the_cache(tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    monkeypatch.setenv("ASTROMETER_CACHE", str(cache))
    monkeypatch.setenv("ASTROMETER_ASTRBOT_PYTHON", str(script(tmp_path / "python", "echo 3 12")))
    uv = script(tmp_path / "uv", FAILING_UV.format(there=cache / "astrbot" / "4.29.33"))
    monkeypatch.setattr("uv.find_uv_bin", lambda: str(uv))
    with pytest.raises(InstallError, match=r"no version of astrbot==4\.29\.33"):
        install("4.29.33")
    assert list((cache / "astrbot").iterdir()) == []


INSTALLER = """
import sys
from astrometer.targets.sandbox.install import install
print(install(sys.argv[1], say=lambda text: print(text, flush=True)).python, flush=True)
"""


@pytest.mark.astrbot
@pytest.mark.timeout(600)
def test_a_killed_install_leaves_nothing_that_counts_and_two_at_once_make_one(tmp_path, python_for_astrbot):
    environ = {**os.environ, "ASTROMETER_CACHE": str(tmp_path)}
    command = [sys.executable, "-c", INSTALLER, "4.18.0"]

    killed = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
    assert "installing" in killed.stdout.readline()
    while not (tmp_path / "astrbot" / "4.18.0" / "overrides.txt").exists():
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not (tmp_path / "astrbot" / "4.18.0" / MARKER).exists()

    both = [subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = "".join(process.communicate()[0] for process in both)
    assert [file.name for file in (tmp_path / "astrbot").iterdir()] == ["4.18.0"]
    assert [process.returncode for process in both] == [0, 0]
    assert len(re.findall("^installing", said, re.MULTILINE)) == 1
    facts = json.loads((tmp_path / "astrbot" / "4.18.0" / MARKER).read_text())
    assert facts["libraries_until"] == "2026-02-25"
