"""Places that cannot be written: told before the work begins, survived when it is done."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from astrometer.output_files import try_place, write_somewhere, write_whole
from astrometer.user_error import UserError


@pytest.fixture
def full(monkeypatch):
    """No file may grow beyond 64 KiB: what a full disk says with another number."""
    import signal

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, before)


def test_a_good_place_is_left_as_it_was(tmp_path):
    try_place(tmp_path / "a" / "b", "--out")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").mkdir()
    try_place(tmp_path / "a", "--out")
    assert list((tmp_path / "a").iterdir()) == []


@pytest.mark.parametrize(
    "place", ["/proc/x", "/dev/null", "/dev/full/x", "file/x", "n\0l", "x" * 300, "\ud800"]
)
def test_an_impossible_place_is_named_with_its_cure(tmp_path, place, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(
        UserError, match=r"nothing can be written there .* name another folder with --out"
    ) as told:
        try_place(Path(place), "--out")
    assert str(told.value).isprintable()


def test_a_full_place_is_named_too(tmp_path, full):
    with pytest.raises(UserError, match=r"too large|No space"):
        try_place(tmp_path, "--out")
    assert list(tmp_path.iterdir()) == []


def test_half_a_file_is_not_left(tmp_path, full):
    (tmp_path / "report").write_text("old")
    with pytest.raises(OSError):
        write_whole(tmp_path / "report", "x" * 200_000)
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    assert (tmp_path / "report").read_text() == "old"


def test_what_cannot_be_written_goes_elsewhere_and_that_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    said = []
    place = write_somewhere(tmp_path / "file", lambda folder: write_whole(folder / "a", "text"), said.append)
    assert (place / "a").read_text() == "text"
    assert said == [f"{tmp_path / 'file'}: cannot be written (File exists); the files are in {place}"]


def test_nowhere_is_said_and_not_raised(tmp_path):
    def never(folder):
        raise OSError(28, "No space left on device")

    said = []
    assert write_somewhere(tmp_path, never, said.append) is None
    assert said == [f"{tmp_path}: cannot be written (No space left on device), and nor can any other place"]


@pytest.mark.process
@pytest.mark.parametrize("broken", ["full", "closed"])
def test_what_is_printed_into_nothing_changes_no_exit_code(broken):
    program = (
        "from astrometer.cli.shared.terminal import print_rich\n"
        "print_rich('the table' * 10000)\nraise SystemExit(3)"
    )
    if broken == "full":
        with Path("/dev/full").open("w") as output:
            done = subprocess.run(
                [sys.executable, "-c", program], stdout=output, stderr=subprocess.PIPE, text=True, check=False
            )
        code, said = done.returncode, done.stderr
    else:
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
        )
        os.close(writing)
        code, said = done.returncode, done.stderr
    assert code == 3
    assert "the table" in said
    assert "Traceback" not in said
