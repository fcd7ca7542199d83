"""`astrometer --help`: every command in one line of 80 columns, said to its end."""

import re

import pytest
from click.testing import CliRunner

from astrometer.cli import COMMANDS, main


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_each_in_one_line(name):
    shown = CliRunner().invoke(main, ["--help"], env={"COLUMNS": "80"}, terminal_width=80).output
    (summary,) = re.findall(rf"^  {name} +(.+)$", shown, re.MULTILINE)
    assert summary.endswith((".", "?"))
    assert not summary.endswith("...")
