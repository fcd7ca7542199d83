"""Before a run: what the server is, what will be left there, and whether a person wants that."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from astrometer.outside_text import shown

if TYPE_CHECKING:
    from astrometer.load.launch import LoadPlan

TIMEOUT_S = 20.0
VERSION_FLAG = "--target-version"
KIND_FLAG = "--target-kind"


def must_be_able_to_ask(url: str, *, yes: bool) -> None:
    """Refuse before anything is sent. Raises click.UsageError."""
    from astrometer.load.estimate import is_loopback

    if not yes and not is_loopback(url) and not sys.stdin.isatty():
        raise click.UsageError(
            f"{url} is not this machine, and nobody can be asked here (no terminal): "
            "add --yes when it may be loaded"
        )


def look_at_server(plan: "LoadPlan", *, deletable: bool) -> tuple["LoadPlan", str | None]:
    """The plan with what only the server knows, and its version. Raises click.UsageError."""
    from astrometer.probing import preflight
    from astrometer.probing.server_info import ask_server_info

    if KIND_FLAG not in plan.extra:
        plan = replace(plan, extra=(KIND_FLAG, preflight.server_kind(plan.target), *plan.extra))
    given = _given_version(plan.extra)
    if given is not None and not deletable:
        return plan, given
    info = asyncio.run(ask_server_info(plan.target, TIMEOUT_S, with_version=given is None))
    version = given or info.version
    if given is None and version is not None:
        plan = replace(plan, extra=(VERSION_FLAG, version, *plan.extra))
    if deletable:
        who = info.identity
        if who is None or not who.can_delete:
            why = who.why if who is not None else info.trouble or "the server did not say who we are"
            raise click.UsageError(f"--deletable: {shown(why)}")
        plan = replace(plan, username=who.username)
    return plan, version


def confirm(plan: "LoadPlan", version: str | None, *, yes: bool) -> None:
    """Say what will happen to a server that is not this machine, and ask once. Raises click.Abort."""
    from astrometer.load.estimate import forecast, is_loopback, sentences

    if is_loopback(plan.target.url):
        return
    click.echo("\n".join(sentences(plan, forecast(plan, plan.out.parent), version)), err=True)
    if not yes:
        click.confirm("Go on?", abort=True, err=True)


def _given_version(extra: Sequence[str]) -> str | None:
    for flag, value in zip(extra, [*extra[1:], ""], strict=False):
        if flag == VERSION_FLAG:
            return value or None
        if flag.startswith(f"{VERSION_FLAG}="):
            return flag.partition("=")[2] or None
    return None
