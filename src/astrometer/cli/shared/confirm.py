"""Around a run: what the server is, what the run costs and leaves there, and whether a person wants that."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import click

from astrometer.line_fold import folded
from astrometer.load.estimate import forecast, is_loopback, left_behind, sentences
from astrometer.load.inspect_locustfile import Inspection
from astrometer.load.launch import LoadPlan

SIMULATOR = "simulator"
NO_VERSION = (
    "No API key: an AstrBot before 4.26 does not tell its version (--target-version notes it in the results)."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """`is_free`: a stub model answers, so that nothing costs tokens."""

    version: str | None
    is_free: bool


def must_be_able_to_ask(url: str, *, yes: bool) -> None:
    """Refuse before anything is sent. Raises click.UsageError."""
    if not yes and not is_loopback(url) and not sys.stdin.isatty():
        raise click.UsageError(
            f"{url} is not this machine, and nobody can be asked here (no terminal): "
            "add --yes when it may be loaded"
        )


def look_at_server(plan: LoadPlan, *, deletable: bool) -> tuple[LoadPlan, ServerFacts]:
    """The plan with what only the server knows. Raises click.UsageError."""
    from astrometer.cli.shared.deletable_sessions import who_can_delete
    from astrometer.probing.target_checks import preflight
    from astrometer.probing.target_checks.server_info import ask_server_info

    if "kind" not in plan.given:
        plan = plan.with_given(kind=preflight.server_kind(plan.target))
    version = plan.settings.version
    if version is None or deletable:
        asked = ask_server_info(plan.target, with_version=version is None, with_identity=deletable)
        info = asyncio.run(asked)
        version = version or info.version
        if version is not None:
            plan = plan.with_given(version=version)
        elif not plan.keys():
            click.echo(NO_VERSION, err=True)
    if deletable:
        plan = plan.with_given(username=who_can_delete(info).username)
    return plan, ServerFacts(version=version, is_free=has_stub_model(plan.target.url, plan.settings.kind))


def has_stub_model(url: str, kind: str | None) -> bool:
    """Whether this machine knows the server as a simulator or as a sandbox of its own."""
    from astrometer.targets.sandbox.sandbox_state import states

    if not is_loopback(url):
        return False
    return kind == SIMULATOR or any(state.url == url for state in states())


def confirm(
    plan: LoadPlan, facts: ServerFacts, inspected: Inspection, *, yes: bool, searches: Sequence[str] = ()
) -> None:
    """Say what will happen, and ask once where it may hurt or cost somebody. Raises click.Abort.

    `searches`: the ways that are searched one after the other, when there is more than one.
    """
    ahead = forecast(plan, plan.out.parent, inspected.asks_model).times(len(searches) or 1)
    for line in sentences(plan, ahead, inspected, facts.version, is_free=facts.is_free, searches=searches):
        click.echo(folded(line, sys.stderr), err=True)
    here = is_loopback(plan.target.url)
    # On this machine a search is the one thing that nobody expects to cost millions.
    costly = plan.settings.searches and not facts.is_free and ahead.tokens != 0 and sys.stdin.isatty()
    if not yes and (not here or costly):
        click.confirm("Continue?", abort=True, err=True)


def say_what_is_left(plan: LoadPlan, facts: ServerFacts, inspected: Inspection, sessions: int | None) -> None:
    """At the end of a run that asked the model; of a disposable server only what can be deleted.

    `sessions` None: nobody counted how many.
    """
    deletable = plan.settings.username is not None
    if facts.is_free and not deletable:
        return
    text = left_behind(inspected, facts.version, deletable=deletable, sessions=sessions)
    how = (
        f"; see them with: astrometer clean --host {plan.target.url}"
        if deletable and sessions != 0 and inspected.leaves_sessions
        else ""
    )
    click.echo(folded(f"Left on the server: {text}{how}", sys.stderr), err=True)
