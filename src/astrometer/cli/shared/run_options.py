"""The table of a run's options -> click's, for `load`, `capacity` and `release`; and what was given."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from astrometer.cli.shared.option_types import Duration, Parsed, deletable_option, yes_option
from astrometer.load.option_table import Option
from astrometer.load.options import OPTIONS, take_ours

F = TypeVar("F", bound=Callable[..., Any])
SEARCH_SECTION = "Options of the search"
SEARCH_PREFIX = "Capacity search: "  # of their help where all arguments stand in one list
RUN_SECTION = "Options of the run (environment variables: astrometer load --list-arguments)"


def run_options(command_name: str, defaults: Mapping[str, str] | None = None) -> Callable[[F], F]:
    """Every option of a run that `astrometer COMMAND_NAME` takes; read them with `given_of_run`.

    `defaults`: where this command has other ones, by the names of `Settings`' fields.
    """

    def decorate(command: F) -> F:
        for name, entry in reversed([*OPTIONS.items()]):
            if why := entry.refused.get(command_name):
                command = refused_option(*entry.flags, why=why)(command)
            elif command_name in entry.commands:
                command = _accepted(name, entry, (defaults or {}).get(name))(command)
        return command

    return decorate


class InSection(click.Option):
    """An option that stands in a section of its command's help."""

    def __init__(self, *args: Any, section: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class RunOption(InSection):
    """One of the table. It has no default here: what was not given is left to Locust's parser."""

    def __init__(self, *args: Any, shown: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._shown = shown

    def get_help_extra(self, ctx: click.Context) -> Any:
        extra = super().get_help_extra(ctx)
        return {**extra, "default": str(self._shown)} if self._shown else extra

    def value_from_envvar(self, ctx: click.Context) -> Any:
        # A list as Locust's parser reads it: one text, or several in brackets.
        if not self.multiple:
            return super().value_from_envvar(ctx)
        said = self.resolve_envvar_value(ctx)
        if said is None:
            return None
        in_brackets = said.startswith("[") and said.endswith("]")
        return [part.strip() for part in said[1:-1].split(",")] if in_brackets else [said]


def _accepted(name: str, entry: Option, default: str | None) -> Callable[[F], F]:
    shown = entry.default if default is None else default
    more: dict[str, Any] = {"is_flag": True}
    if entry.choices:
        more = {"type": click.Choice(entry.choices)}
    elif not entry.is_switch:
        read = (lambda value: entry.read([value])) if entry.is_list else entry.read
        more = {
            "type": Parsed(name, read, keep_text=True),
            "metavar": entry.metavar,
            "multiple": entry.is_list,
        }
    searches = entry.commands == ("capacity",)
    words = entry.help.removeprefix(SEARCH_PREFIX) if searches else entry.help
    return click.option(
        *entry.flags,
        name,
        cls=RunOption,
        envvar=entry.variable,
        help=words[0].upper() + words[1:],
        shown=shown,
        section=SEARCH_SECTION if searches else RUN_SECTION,
        **more,
    )


def refused_option(*flags: str, why: str) -> Callable[[F], F]:
    """What another command takes: people who try it here are told why not."""

    def refuse(_ctx: click.Context, _param: click.Parameter, value: Any) -> None:
        if value is not None:
            raise click.UsageError(f"{flags[0]} cannot be used here: {why}")

    return click.option(*flags, hidden=True, expose_value=False, callback=refuse)


# What the command itself tells Locust, with options of ours that say it: a second word behind -- would
# contradict the plan and the reports.
_LOCUSTS = {
    ("-f", "--locustfile"): ("--scenario",),
    ("-H", "--host"): ("--host",),
    ("-u", "--users"): ("--users", "--start"),
    ("-r", "--spawn-rate"): ("--spawn-rate",),
    ("-t", "--run-time"): ("--duration", "--block", "--step-time"),
    ("-s", "--stop-timeout"): ("--stop-timeout",),
    ("--processes",): ("--processes",),
    ("--headless",): ("--web",),
    ("--autostart",): ("--web",),
    ("-P", "--web-port"): ("--web-port",),
    ("--web-host",): (),
    ("--logfile",): ("--out",),
    ("--master",): (),
    ("--worker",): (),
}


def _refuse_locusts(ctx: click.Context, words: Sequence[str]) -> None:
    """Raises click.UsageError."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flags in _LOCUSTS:
        parser.add_argument(*flags, dest=flags[-1], nargs="?", default=argparse.SUPPRESS)
    found = vars(parser.parse_known_args(words)[0])
    ours = {flag for param in ctx.command.params for flag in param.opts}
    for flags, says in _LOCUSTS.items():
        if flags[-1] in found:
            instead = next((f" (use {flag} before --)" for flag in says if flag in ours), "")
            raise click.UsageError(
                f"{flags[-1]} cannot be used behind --: {ctx.info_name} tells Locust itself{instead}"
            )


def given_of_run(
    ctx: click.Context, locust_args: tuple[str, ...], defaults: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], list[str]]:
    """Options of the run, before -- or behind it, and the rest for Locust. Raises click.UsageError."""
    given: dict[str, Any] = dict(defaults or {})
    # A switch of the command's own may have the name of a text of the table: the --messenger of `release`.
    switches = {
        param.name for param in ctx.command.params if isinstance(param, click.Option) and param.is_flag
    }
    for name in [name for name, entry in OPTIONS.items() if entry.is_switch or name not in switches]:
        source = ctx.get_parameter_source(name)
        if name in ctx.params and source in {ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT}:
            value = ctx.params[name]
            given[name] = list(value) if OPTIONS[name].is_list else value
    behind, rest = take_ours(locust_args)
    for name, value in behind.items():
        if why := OPTIONS[name].refused.get(ctx.info_name or ""):
            raise click.UsageError(f"{OPTIONS[name].flag} cannot be used here: {why}")
        given[name] = [*given.get(name, []), *value] if OPTIONS[name].is_list else value
        OPTIONS[name].value_of(value)
    _refuse_locusts(ctx, rest)
    return given, rest


class RunCommand(click.Command):
    """A command with many options: those of a search and of the run are in sections of their help."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"Options": [], SEARCH_SECTION: [], RUN_SECTION: []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                sections[getattr(param, "section", "Options")].append(record)
        for title, records in sections.items():
            if not records:
                continue
            with formatter.section(title):
                formatter.write_dl(records)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as exc:
            if exc.possibilities:
                raise
            hint = "Arguments of Locust and of the locustfile go behind --."
            raise click.UsageError(f"{exc.format_message()} {hint}", ctx) from exc


def locust_options(command: F) -> F:
    """What `load` and `capacity` say about their Locust run besides."""
    for decorate in (
        click.option("--dry-run", is_flag=True, help="Print the run as a plain locust command, and exit."),
        click.option(
            "--web-port",
            type=click.IntRange(1, 65535),
            metavar="PORT",
            default=8089,
            show_default=True,
            help="Port of the web UI.",
        ),
        click.option("--web", is_flag=True, help="Show Locust's web UI on loopback until Ctrl-C."),
        click.option(
            "--out",
            type=click.Path(path_type=Path, file_okay=False),
            help="Directory for results.json, reports and locust.log. [astrometer-results/SCENARIO-TIME]",
        ),
        yes_option("Do not ask before loading a server that is not this machine."),
        click.option("--no-check", is_flag=True, help="Skip the check of the API key and of the messenger."),
        deletable_option,
        click.option(
            "--processes", type=click.IntRange(1), metavar="N", help="Generate load from this many processes."
        ),
        click.option(
            "--stop-timeout",
            type=Duration(whole=True),
            default="30s",
            show_default=True,
            help="How long running turns may take to finish; then they are cut off.",
        ),
    ):
        command = decorate(command)
    return command
