"""`astrometer --help`: every command in one line of 80 columns, said to its end."""

import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from astrometer.cli import COMMANDS, main


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_each_in_one_line(name):
    shown = CliRunner().invoke(main, ["--help"], env={"COLUMNS": "80"}, terminal_width=80).output
    (summary,) = re.findall(rf"^  {name} +(.+)$", shown, re.MULTILINE)
    assert summary.endswith((".", "?"))
    assert not summary.endswith("...")


def test_the_options_of_a_search_come_before_those_of_any_run():
    shown = CliRunner().invoke(main, ["capacity", "--help"], terminal_width=80).output
    search, run = shown.partition("\nOptions of the search:\n")[2].split("\nOptions of the run")
    assert re.findall(r"^  (--[a-z-]+)", search, re.MULTILINE) == [
        "--model", "--start", "--max", "--step-time", "--settle", "--precision", "--repeats", "--ways",
        "--rounds",
    ]  # fmt: skip
    assert "--slo" in run
    assert "Options of the search" not in CliRunner().invoke(main, ["load", "--help"]).output


def test_an_unknown_clock_is_an_error_of_usage(monkeypatch):
    monkeypatch.setenv("ASTROMETER_CLOCK", "sundial")
    ended = CliRunner().invoke(main, ["report", "."])
    assert ended.exit_code == 2
    assert "ASTROMETER_CLOCK=sundial: it can be kernel or user" in ended.output


@pytest.mark.process
@pytest.mark.parametrize("command", ["load", "capacity", "probe", "clean"])
def test_a_command_without_a_configuration_file_starts_without_what_reads_one(command):
    code = (
        f"import sys, astrometer.cli.{command}\n"
        "loaded = {'pydantic', 'locust', 'gevent', 'uvicorn'} & set(sys.modules); assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
