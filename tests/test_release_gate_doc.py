"""The workflows in docs/how-to/release-gate.md are YAML, and astrometer takes the commands in them."""

import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from astrometer.cli import main

DOCS = Path(__file__).parents[1] / "docs"
BLOCKS = re.findall(
    r"```yaml\n(.*?)```", (DOCS / "how-to" / "release-gate.md").read_text("utf-8"), flags=re.DOTALL
)
CONSOLE = [
    line[2:]
    for page in ("how-to/release-gate.md", "how-to/compare.md")
    for line in (DOCS / page).read_text("utf-8").replace("\\\n", " ").splitlines()
    if line.startswith("$ astrometer")
]


def scripts() -> list[str]:
    github, gitlab = (yaml.safe_load(block) for block in BLOCKS)
    steps = [step["run"] for step in github["jobs"]["gate"]["steps"] if "run" in step]
    return [line for line in (*steps, *gitlab["release-gate"]["script"]) if line.startswith("astrometer ")]


def test_the_github_workflow_has_what_a_workflow_needs():
    github = yaml.safe_load(BLOCKS[0])
    assert set(github) == {"name", True, "jobs"}  # YAML 1.1 reads `on` as true
    for step in github["jobs"]["gate"]["steps"]:
        assert ("uses" in step) != ("run" in step)


@pytest.mark.parametrize("line", [*scripts(), *CONSOLE])
def test_every_command_in_the_pages_is_one_that_astrometer_takes(line):
    words = shlex.split(re.sub(r"\$\{\{.*?\}\}", "latest", line))
    name, arguments = words[1], words[2:]
    command = main.get_command(click.Context(main), name)
    context = command.make_context(name, list(arguments))
    assert name == context.info_name


def test_both_workflows_run_the_gate():
    assert len(scripts()) == 2
