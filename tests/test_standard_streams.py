"""Closed streams, broken pipes and poor locales end no process of ours."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.process

SPEAKER = """
import os, sys
from astrometer import standard_streams
standard_streams.make_safe()
mine = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
for _ in range(3):
    sys.stderr.write("\\u2264 said\\n")
    sys.stderr.flush()
print("\\u2264 printed", flush=True)
os.write(mine, b"kept")
sys.exit(7)
"""


def speak(tmp_path, redirections, **environ):
    """Its exit code, what it printed, and what it kept."""
    file = tmp_path / "kept"
    done = subprocess.run(
        ["/bin/sh", "-c", f'"$@" {redirections}', "sh", sys.executable, "-c", SPEAKER, str(file)],
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return done.returncode, done.stdout.decode(), file.read_bytes()


@pytest.mark.parametrize("redirections", [">&-", "2>&-", "<&- >&- 2>&-", "<&- 2>&-"])
def test_a_closed_stream_is_no_error_and_no_file_gets_its_number(tmp_path, redirections):
    code, printed, kept = speak(tmp_path, redirections)
    assert (code, kept) == (7, b"kept")
    assert printed == ("" if ">&-" in redirections.replace("2>&-", "") else "\u2264 printed\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device")  # noqa: PTH110
def test_remarks_that_nobody_can_take_do_not_end_it(tmp_path):
    assert speak(tmp_path, "2>/dev/full") == (7, "\u2264 printed\n", b"kept")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device")  # noqa: PTH110
@pytest.mark.parametrize("command", ["astrometer --version", "astrometer sandbox list"])
@pytest.mark.parametrize("behind", [">/dev/full", "| sleep 0"], ids=["full disk", "closed pipe"])
def test_a_result_that_nobody_can_take_is_told_on_standard_error_and_keeps_its_exit_code(
    tmp_path, command, behind
):
    # The pipe's reader has gone before anything is printed.
    wait = "sleep 0.5; " if "|" in behind else ""
    program = f"{sys.executable} -P -m {command}"
    done = subprocess.run(
        ["/bin/bash", "-c", f"{{ {wait}{program}; echo $? >&3; }} 3>{tmp_path / 'code'} {behind}"],
        env={**os.environ, "ASTROMETER_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = "version" if "version" in command else "no sandbox is running"
    assert ((tmp_path / "code").read_text(), "Traceback" in done.stderr) == ("0\n", False), done.stderr
    assert said in done.stderr


def test_a_letter_that_the_locale_lacks_is_written_out(tmp_path):
    poor = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert speak(tmp_path, "", **poor) == (7, "\\u2264 printed\n", b"kept")
