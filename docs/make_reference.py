"""The commands' own help -> docs/reference/cli.md; the probe files -> docs/reference/probes.md, and what a
day of them costs, wherever the docs show it; the exporter's metrics -> docs/reference/metrics.md.

`--check` says whether they are up to date.

python docs/make_reference.py [--check]
"""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click
import metric_tables
import probe_day
import probe_tables

from astrometer import exit_codes
from astrometer.cli import main as astrometer
from astrometer.cli.shared.run_options import RUN_SECTION, RunOption
from astrometer.load.options import OPTIONS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/reference/cli.md"
PROBES = PAGE.with_name("probes.md")
METRICS = PAGE.with_name("metrics.md")
WIDTH = 100
EVERY_RUN = "Arguments of every load run"
HEAD = """# Commands

Made from the commands' own `--help` by `python docs/make_reference.py`; a test proves that it is up to date.

## Exit codes

The same for every command.

| code | meaning |
|---|---|
"""


def page() -> str:
    """The whole of docs/reference/cli.md."""
    codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in sorted(exit_codes.MEANING.items()))
    sections = [section(name, *parts) for name, *parts in helps()]
    return HEAD + codes + "".join(sections) + section(EVERY_RUN, arguments())


def arguments() -> str:
    """What plain `locust -f` takes of ours, too. In a process of its own: Locust patches the one it is in."""
    command = [sys.executable, "-m", "astrometer", "load", "--list-arguments"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": str(WIDTH)}
    )
    return done.stdout.rstrip()


def section(name: str, text: str, after: str = "") -> str:
    return f"\n## {name}\n\n```text\n{text}\n```\n{after}"


def helps() -> Iterator[tuple[str, ...]]:
    """Every command with its help, groups before their members, and what else is to be said of it."""
    settings = {**astrometer.context_settings, "max_content_width": WIDTH}
    root = click.Context(astrometer, info_name="astrometer", terminal_width=WIDTH, **settings)
    yield "astrometer", astrometer.get_help(root)
    for name in astrometer.list_commands(root):
        command = astrometer.get_command(root, name)
        if command is not None:
            yield from _of(command, name, root)


def _of(command: click.Command, name: str, parent: click.Context) -> Iterator[tuple[str, ...]]:
    context = click.Context(
        command, info_name=name, parent=parent, terminal_width=WIDTH, max_content_width=WIDTH
    )
    own, of_run, _ = command.get_help(context).partition(f"\n{RUN_SECTION}:\n")
    yield context.command_path, own.rstrip(), _of_run(command, context) if of_run else ""
    if isinstance(command, click.Group):
        for member in command.list_commands(context):
            inner = command.get_command(context, member)
            if inner is not None:
                yield from _of(inner, member, context)


def _of_run(command: click.Command, context: click.Context) -> str:
    """Which of a run's options a command takes, and where its defaults are others: they are listed once."""
    taken = {param.name: param for param in command.params if isinstance(param, RunOption)}
    flags = {flag for param in command.params for flag in param.opts if not getattr(param, "hidden", False)}
    lacking = [
        f"`{entry.flag}`"
        for entry in OPTIONS.values()
        if "load" in entry.commands and entry.flag not in flags
    ]
    others = [
        f"`{OPTIONS[name].flag} {shown}`"
        for name, param in taken.items()
        if (shown := param.get_help_extra(context).get("default")) and shown != str(OPTIONS[name].default)
    ]
    said = f"It also takes the [arguments of every load run](#{EVERY_RUN.lower().replace(' ', '-')})"
    said += f" except {', '.join(lacking)}" if lacking else ""
    said += f". Its own defaults: {', '.join(others)}" if others else ""
    return f"\n{textwrap.fill(f'{said}.', 120, break_on_hyphens=False)}\n"


def main() -> None:
    probes = probe_day.with_sum(probe_tables.filled(PROBES.read_text("utf-8")))
    metrics = metric_tables.filled(METRICS.read_text("utf-8"))
    for file, made in {PAGE: page(), PROBES: probes, METRICS: metrics, **probe_day.pages()}.items():
        if "--check" not in sys.argv[1:]:
            file.write_text(made, "utf-8")
        elif not file.exists() or file.read_text("utf-8") != made:
            sys.exit(f"{file.relative_to(ROOT)} is out of date: python docs/make_reference.py")


if __name__ == "__main__":
    main()
