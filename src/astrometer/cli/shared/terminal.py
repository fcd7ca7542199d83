"""Tables and texts -> stdout, or stderr when a full disk or a closed pipe is behind it; never an exit code.

Into a pipe or a file no line ends in blanks, so that it can be compared.
"""

import sys
from typing import TYPE_CHECKING, TextIO

import click

from astrometer.standard_streams import give_up

if TYPE_CHECKING:
    from rich.console import RenderableType


def print_rich(*things: "RenderableType") -> None:
    """As wide as the terminal, and 80 columns elsewhere; a text stays as it is."""
    for stream in (sys.stdout, sys.stderr):
        try:
            for thing in things:
                _print(thing, stream)
            stream.flush()
        except OSError:
            give_up(stream)
        else:
            return


def say(text: str) -> None:
    click.echo(text, err=True)


def print_problem(text: str) -> None:
    try:
        sys.stderr.write(f"Error: {text}\n")
        sys.stderr.flush()
    except OSError:
        give_up(sys.stderr)


def _print(thing: "RenderableType", stream: TextIO) -> None:
    from rich.console import Console

    class Patient(Console):
        def on_broken_pipe(self) -> None:  # rich's own exits with 1
            raise BrokenPipeError

    if isinstance(thing, str):
        stream.write(f"{thing}\n")
        return
    console = Patient(file=stream, highlight=False)
    if console.is_terminal:
        console.print(thing)
        return
    with console.capture() as captured:
        console.print(thing)
    stream.write("".join(f"{line.rstrip(' ')}\n" for line in captured.get().splitlines()))
