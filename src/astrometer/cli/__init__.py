"""`astrometer`: one command per file, imported only when it is called.

Locust patches the process with gevent when it is imported, so no command may pull in another's imports.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from importlib import import_module
from typing import Any

import click

from astrometer import __version__, exit_codes, standard_streams
from astrometer.suggestion import did_you_mean
from astrometer.user_error import UserError
from astrometer.wire.receive_stamps import UnknownClock, wanted_clock

COMMANDS = (
    "demo",
    "load",
    "capacity",
    "calibrate",
    "compare",
    "history",
    "release",
    "bisect",
    "probe",
    "sla",
    "messenger",
    "report",
    "explain",
    "learn",
    "clean",
    "sim",
    "sandbox",
    "doctor",
)

_LIKE_CTRL_C = (signal.SIGTERM, signal.SIGHUP)


class LazyGroup(click.Group):
    """Finds `cli/<name>.py` and takes its `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        return _command(cmd_name) if cmd_name in COMMANDS else None

    def main(self, *args: Any, **kwargs: Any) -> Any:
        standard_streams.make_safe()  # --help and --version print before anything is invoked
        return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> object:
        try:
            wanted_clock()
        except UnknownClock as exc:
            raise click.UsageError(str(exc), ctx) from exc
        try:
            with _all_like_ctrl_c():
                return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort) as exc:  # click would exit 1: an objective failed
            click.echo("Interrupted", err=True)
            raise SystemExit(exit_codes.INTERRUPTED) from exc

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"no command {args[0]!r}{did_you_mean(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)


@cache
def _command(name: str) -> click.Command:
    command: click.Command = import_module(f"astrometer.cli.{name}").command
    for one in (command, *getattr(command, "commands", {}).values()):
        one.callback = _with_usage(one.callback)
    return command


def _with_usage(callback: Callable[..., object]) -> Callable[..., object]:
    """What the user can mend is said as click says a wrong option."""

    @wraps(callback)
    def wrapper(*args: object, **kwargs: object) -> object:
        try:
            return callback(*args, **kwargs)
        except UserError as exc:
            raise click.UsageError(str(exc)) from exc

    return wrapper


@contextmanager
def _all_like_ctrl_c() -> Iterator[None]:
    """SIGTERM and a closed terminal do what Ctrl-C does, so that every command cleans up; nohup is obeyed.

    A command that has handlers of its own for them replaces these.
    """

    def interrupt(_number: int, _frame: object) -> None:
        if not callable(signal.getsignal(signal.SIGINT)):  # ignored: a shell's script started us with `&`
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)

    usual = [number for number in _LIKE_CTRL_C if signal.getsignal(number) == signal.SIG_DFL]
    for number in usual:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in usual:
            signal.signal(number, signal.SIG_DFL)


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="astrometer")
def main() -> None:
    """Load tests and uptime probes for AstrBot whose numbers can be trusted.

    Exit codes: 0 pass, 1 an objective, a condition or a probe failed, 2 usage, 3 the result cannot be
    trusted, 4 target unreachable, 130 interrupted.
    """
