"""`astrometer messenger`: `setup` makes an adapter for the messenger probe, `remove` removes it."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from astrometer.cli.parts.messenger_plan import PlannedToken, PlanOptions
from astrometer.cli.parts.messenger_server import MessengerServer
from astrometer.cli.shared.option_types import duration_option, yes_option
from astrometer.cli.shared.server_options import Server, target_options
from astrometer.config.settings import TargetMessenger
from astrometer.probing.messenger_setup.adapter_plan import DEFAULT_ID, DEFAULT_LISTEN, DEFAULT_PORT
from astrometer.probing.messenger_setup.adapter_removal import AdapterRemoval, leftovers_of
from astrometer.probing.messenger_setup.adapter_setup import (
    AdapterSetup,
    refuse_taken_port,
    refuse_what_is_not_ours,
)
from astrometer.probing.messenger_setup.adapter_state import AdapterState, state_of
from astrometer.probing.messenger_setup.management import Management
from astrometer.probing.messenger_setup.setup_words import (
    by_hand,
    by_hand_removal,
    config_sentences,
    plan_sentences,
)
from astrometer.probing.messenger_setup.token_file import DEFAULT_NAME

F = TypeVar("F", bound=Callable[..., Any])


@click.group("messenger", short_help="Make an adapter for the messenger probe, or remove it.")
def command() -> None:
    """Give the probe `im_chat` an adapter, a configuration profile and a route of its own on your AstrBot.

    Nothing of your real messenger is touched. It needs AstrBot 4.26 or newer and an API key with the scope
    config; for an older AstrBot it says what to do by hand.
    """


def adapter_id_option(command: F) -> F:
    return click.option(
        "--id",
        "adapter_id",
        default=DEFAULT_ID,
        show_default=True,
        metavar="NAME",
        help="The adapter's name.",
    )(command)


@command.command("setup", short_help="Make the adapter, its profile and its route, and try it.")
@target_options
@adapter_id_option
@click.option(
    "--port", type=click.IntRange(1, 65535), help=f"Where AstrBot listens for it. [default: {DEFAULT_PORT}]"
)
@click.option(
    "--listen",
    metavar="ADDRESS",
    help=f"On which address of the server; 0.0.0.0 in a container. [default: {DEFAULT_LISTEN}]",
)
@click.option("--url", metavar="URL", help="How this machine reaches it. [ws://, --listen, --port, /ws]")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"Where its token is written, or is already. [{DEFAULT_NAME} beside the configuration]",
)
@click.option("--token-env", metavar="NAME", help="Take the token from this variable, and write no file.")
@duration_option("--timeout", "timeout_s", default="60s", help="Time limit for looking, and for making.")
@yes_option("Do not ask before the server is changed.")
def setup(
    *,
    server: Server,
    adapter_id: str,
    port: int | None,
    listen: str | None,
    url: str | None,
    token_file: Path | None,
    token_env: str | None,
    timeout_s: float,
    yes: bool,
) -> None:
    """Make an adapter for the probe `im_chat`, with a profile and a route of its own, and try it.

    Run it on the server's machine. What is there already is checked and completed. If something fails, what
    was made is taken back. The model is asked nothing.

    Exit codes: 0 it is there and works, 1 it failed and was taken back, 2 usage, or refused before anything
    was changed, 4 unreachable.
    """
    if token_file is not None and token_env is not None:
        raise click.UsageError("--token-file cannot be combined with --token-env")
    place = MessengerServer.of(server, adapter_id, timeout_s)
    options = PlanOptions(
        server=place, port=port, listen=listen, url=url, token_file=token_file, token_env=token_env
    )

    def instructions() -> Any:
        return by_hand(adapter_id, options.port_of(None), options.listen_of(None), options.url_of(None))

    state = place.look(_our_state, instructions)
    plan, token = options.plan(state)
    click.echo(f"On {place.target.url}:")
    for line in plan_sentences(state, plan, token.place):
        click.echo(f"  {line}")
    if not state.is_whole:
        click.echo("Nothing else of this AstrBot is changed.")
        _confirm(yes=yes)
    _write(token)

    async def make(management: Management) -> None:
        await refuse_taken_port(state, plan)
        making = AdapterSetup(management, plan, state, click.echo)
        await (making.check() if state.is_whole else making.make())

    access = TargetMessenger(url=plan.url, token=plan.token)
    visit = place.visit(make, replace(place.target, messenger=access))
    if not visit.run.ok:
        if token.unwritten is not None and state.adapter is None and not visit.run.cleanup_failures:
            token.unwritten.remove()
        visit.explain(f"astrometer messenger remove --id {adapter_id}")
        sys.exit(visit.exit_code)
    click.echo("It was there already, and works." if state.is_whole else "It works.")
    if place.target.messenger != access:
        click.echo("")
        deletes = place.target.key_for("data")
        for line in config_sentences(
            place.target.name, place.config_file, plan.url, token.place,
            may_delete=deletes is not None and deletes.name != place.key.name,
        ):  # fmt: skip
            click.echo(line)
        click.echo("\nThen try it: astrometer probe --once --probe im_chat")


@command.command("remove", short_help="Remove what setup made.")
@target_options
@adapter_id_option
@duration_option("--timeout", "timeout_s", default="60s", help="Time limit for looking, and for removing.")
@yes_option("Do not ask before the server is changed.")
def remove(*, server: Server, adapter_id: str, timeout_s: float, yes: bool) -> None:
    """Remove what `setup` made: adapter, route, profile, and with a key of the scope data the conversations.

    Take it out of the configuration first, so that no probe asks for it. What setup did not make is not
    touched.

    Exit codes: 0 it is gone, or was never there, 1 something is left, 2 usage, or refused before anything was
    changed, 4 unreachable.
    """
    place = MessengerServer.of(server, adapter_id, timeout_s)
    found = place.look(leftovers_of, lambda: by_hand_removal(adapter_id))
    if not found.sentences():
        click.echo(f"{place.target.url}: nothing of {adapter_id} is there that can be removed.")
        return
    click.echo(f"{place.target.url}: this will be removed:")
    for line in found.sentences():
        click.echo(f"  {line}")
    click.echo("This will stay:")
    for line in found.stays():
        click.echo(f"  {line}")
    _confirm(yes=yes)

    async def take_away(management: Management) -> None:
        await AdapterRemoval(management, found, click.echo).remove()

    visit = place.visit(take_away)
    if not visit.run.ok:
        visit.explain()
        sys.exit(visit.exit_code)
    click.echo("It is gone. Its token is of no use any more: delete its file.")


async def _our_state(management: Management, adapter_id: str) -> AdapterState:
    state = await state_of(management, adapter_id)
    refuse_what_is_not_ours(state)
    return state


def _confirm(*, yes: bool) -> None:
    """Raises click.UsageError where nobody can be asked, and click.Abort after a No."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(
            "nothing was changed: nobody can be asked here (no terminal). Add --yes to go on"
        )
    click.confirm("Continue?", abort=True, err=True)


def _write(token: PlannedToken) -> None:
    """Before the server is changed: what cannot be kept is not made. Raises UserError."""
    if token.unwritten is not None:
        token.unwritten.write(token.token)
        click.echo(f"wrote the token to {token.unwritten.path}")
