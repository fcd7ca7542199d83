"""Sessions that probes and the doctor make: refused where nobody can delete them, told afterwards."""

import asyncio
from collections.abc import Iterable

import click

from astrometer.config.settings import Target
from astrometer.outside_text import shown
from astrometer.probing.cleanup.identity import Identity
from astrometer.probing.target_checks.server_info import ServerInfo, ask_server_info
from astrometer.probing.verdict import ProbeRun


def must_be_deletable(targets: Iterable[Target]) -> None:
    """What --deletable asks for. Raises click.UsageError."""
    for target in targets:
        info = asyncio.run(ask_server_info(target, with_version=False))
        who_can_delete(info, f"{target.name}: ")


def who_can_delete(info: ServerInfo, place: str = "") -> Identity:
    """Whom the key chats as. Raises click.UsageError where it could not delete that one's sessions."""
    who = info.identity
    if who is None or not who.can_delete:
        why = who.why if who is not None else info.trouble or "the server did not say who we are"
        raise click.UsageError(f"--deletable: {place}{shown(why)}")
    return who


def say_what_stays(runs: Iterable[ProbeRun]) -> None:
    """One line for each target, on stderr."""
    by_target: dict[str, list[str]] = {}
    for run in runs:
        by_target.setdefault(run.target, []).extend([*run.stays, *run.cleanup_failures])
    for target, left in by_target.items():
        text = (
            ", ".join(f"{left.count(item)} {shown(item, 100)}" for item in dict.fromkeys(left)) or "nothing"
        )
        click.echo(f"Left on {target}: {text}", err=True)
