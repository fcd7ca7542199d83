"""The workflows in docs/how-to/release-gate.md are YAML, and astrometer takes the commands in them."""

import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from astrometer import __version__
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


def jobs() -> tuple[list[dict], dict]:
    """The steps of the GitHub jobs, and the GitLab job."""
    github, plugin, gitlab = (yaml.safe_load(block) for block in BLOCKS)
    return [*github["jobs"]["gate"]["steps"], *plugin], gitlab["release-gate"]


def scripts() -> list[str]:
    return [line for line in jobs()[1]["script"] if line.startswith("astrometer ")]


def test_the_github_workflow_has_what_a_workflow_needs():
    github = yaml.safe_load(BLOCKS[0])
    assert set(github) == {"name", True, "permissions", "jobs"}  # YAML 1.1 reads `on` as true
    assert github["permissions"] == {"contents": "read", "pull-requests": "write"}


def test_both_jobs_install_from_the_repository_at_the_tag_of_this_version():
    steps, gitlab = jobs()
    ours = [step["uses"] for step in steps if "astrometer" in step["uses"]]
    assert ours == [f"OWNER/astrometer@v{__version__}"] * 2
    assert f"git+https://github.com/OWNER/astrometer@v{__version__}" in gitlab["script"][0]


def test_the_inputs_of_the_workflow_are_those_of_the_action():
    inputs = yaml.safe_load((DOCS.parent / "action.yml").read_text("utf-8"))["inputs"]
    assert all(set(step.get("with", {})) <= set(inputs) for step in jobs()[0])


@pytest.mark.parametrize("line", [*scripts(), *CONSOLE])
def test_every_command_in_the_pages_is_one_that_astrometer_takes(line):
    words = shlex.split(re.sub(r"\$\{\{.*?\}\}", "latest", line))
    name, arguments = words[1], words[2:]
    command = main.get_command(click.Context(main), name)
    context = command.make_context(name, list(arguments))
    assert name == context.info_name


def test_the_gitlab_job_runs_the_gate():
    assert len(scripts()) == 1
