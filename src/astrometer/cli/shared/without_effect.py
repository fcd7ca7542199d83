"""An option that would do nothing beside another one, or in this mode, is refused: both are named.

What a run's options need of each other is in their table: `needs` in `load/options.py`.
"""

from collections.abc import Iterable, Mapping

import click
from click.core import ParameterSource


def typed(ctx: click.Context) -> dict[str, str]:
    """What stands on the command line, before and behind --: the names of the parameters, with their flags.

    What a variable says is left out: it is there for other commands as well.
    """
    flags = {
        param.name: next((flag for flag in param.opts if flag.startswith("--")), param.name)
        for param in ctx.command.params
        if param.name and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE
    }
    if words := ctx.params.get("locust_args"):
        from astrometer.load.options import OPTIONS, take_ours

        flags |= {name: OPTIONS[name].flag for name in take_ours(words)[0]}
    return flags


def refuse(given: Mapping[str, str], names: Iterable[str], why: str) -> None:
    """`given`: flags by their names, as `typed` tells them. Raises click.UsageError: `--flag why`."""
    for name in names:
        if name in given:
            raise click.UsageError(f"{given[name]} {why}")
