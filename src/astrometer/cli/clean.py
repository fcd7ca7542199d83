"""`astrometer clean`: what earlier runs left on a server, and with --yes its deletion."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import click

from astrometer import exit_codes
from astrometer.api.outcome import Outcome
from astrometer.cli.shared.option_types import duration_option, yes_option
from astrometer.cli.shared.server_options import Server, target_options, warn_of_unverified
from astrometer.config.settings import Target
from astrometer.outside_text import shown

PREFIX = "astrometer"


@click.command("clean", short_help="Show the sessions that runs left on a server, or delete them.")
@target_options
@click.option(
    "--from", "folders", multiple=True, type=click.Path(path_type=Path, exists=True), metavar="DIR",
    help="A run's directory with results.json, for its names; repeatable. "
    "[the journal of `astrometer load` on this account]",
)  # fmt: skip
@click.option("--prefix", default=PREFIX, show_default=True, help="What --run-user-prefix was.")
@duration_option("--timeout", "timeout_s", default="10m", help="Time limit for everything.")
@yes_option("Delete. Without it nothing is changed.")
def command(
    *,
    server: Server,
    folders: tuple[Path, ...],
    prefix: str,
    timeout_s: float,
    yes: bool,
) -> None:
    """Show the sessions that earlier runs left on a server, and with --yes delete those that can be.

    AstrBot 4.18 to 4.25 deletes nothing through an API key. From 4.26 on a key may delete the sessions of
    its own identity, which are those of `astrometer load --deletable` and of probes; 4.26 to 4.28 do not
    tell a key its id (ASTRBOT_API_KEY_ID, or keys.NAME.id in the configuration). Sessions of named users
    stay.

    Run it when no run is going on. Exit codes: 0 done, 1 something could not be deleted, 2 usage,
    4 unreachable.
    """
    if len(prefix) < 3:
        raise click.UsageError("--prefix is too short to tell our sessions from others")
    chosen = server.config().target()
    warn_of_unverified([chosen])
    if chosen.key_for("chat") is None:
        raise click.UsageError(f"no API key with the scope chat for {chosen.url}")
    runs, prefixes = _earlier_runs(chosen, folders, prefix)
    raise SystemExit(asyncio.run(_clean(chosen, runs, prefixes, timeout_s, yes=yes)))


def _earlier_runs(target: Target, folders: tuple[Path, ...], prefix: str) -> tuple[list[Any], set[str]]:
    """Their names, from results files or from the journal. Raises click.UsageError."""
    from astrometer.load.run import run_journal
    from astrometer.measure.results import document
    from astrometer.probing.target_checks.old_sessions import RunNames

    runs, prefixes = [], {prefix}
    for folder in folders:
        kept = document.read(folder)
        names = kept["names"]
        if names is None:
            raise click.UsageError(f"{folder}: this results file is too old to say under which names it ran")
        if kept["target"]["url"].rstrip("/") != target.url:
            raise click.UsageError(f"{folder}: that run was against {kept['target']['url']}")
        prefixes.add(names["prefix"])
        if names["username"] is None:
            users = [(count, first) for count, first in names["users"]]
            runs.append(RunNames(run_id=names["run_id"], prefix=names["prefix"], users=users))
    if not folders:
        for entry in run_journal.read(run_journal.path()):
            if entry.url.rstrip("/") == target.url:
                prefixes.add(entry.prefix)
                if entry.username is None:
                    pairs = [(pair[0], pair[1]) for pair in entry.users]
                    runs.append(RunNames(run_id=entry.run_id, prefix=entry.prefix, users=pairs))
    return runs, prefixes


async def _clean(target: Target, runs: list[Any], prefixes: set[str], timeout_s: float, *, yes: bool) -> int:
    from astrometer.probing.context import Context
    from astrometer.probing.one_off import run_function
    from astrometer.probing.target_checks import old_sessions
    from astrometer.probing.verdict import Verdict

    state: dict[str, Any] = {}

    async def probe(ctx: Context) -> Verdict:
        state["found"] = found = await old_sessions.survey(ctx, runs, prefixes)
        _show(target, found, len(runs))
        if yes and found.ours:
            state["deletion"] = await old_sessions.delete(
                ctx, found, lambda done: _progress(done, len(found.ours))
            )
        return Verdict.passed()

    run = await run_function(target, "clean", probe, timeout_s)
    if not run.ok:
        if run.reason == Outcome.UNAUTHORIZED.value:
            raise click.UsageError(f"{target.url} refuses the key (HTTP 401): it is bad, revoked or expired")
        click.echo(f"Error: {target.url}: {run.reason}: {shown(run.detail, 500)}", err=True)
        return exit_codes.UNREACHABLE if run.unreachable else exit_codes.FAILED
    found, deletion = state["found"], state.get("deletion")
    if deletion is None:
        if found.ours:
            click.echo(f"Nothing was deleted; --yes deletes the {len(found.ours)}.")
        return exit_codes.PASS
    click.echo(f"Deleted {deletion.gone}, each seen to be gone.")
    if deletion.failed:
        click.echo(f"Still there: {len(deletion.failed)}, such as {shown(deletion.failed[0], 100)}", err=True)
        return exit_codes.FAILED
    return exit_codes.PASS


def _show(target: Target, found: Any, runs: int) -> None:
    """What is there, what can go, and why the rest stays."""
    who = found.identity
    click.echo(f"{target.url}: {runs} earlier run(s) known by name")
    if who.can_delete:
        click.echo(
            f"can be deleted: {len(found.ours)} session(s) of astrometer, made as {shown(who.username)}"
        )
        if found.others:
            click.echo(f"not touched: {found.others} other session(s) of the same key, not ours by name")
    else:
        click.echo(f"can be deleted: nothing. {shown(who.why)}")
    if found.stuck:
        total = sum(found.stuck.values())
        first = next(iter(found.stuck))
        advice = " Next time: astrometer load --deletable" if who.can_delete else ""
        click.echo(
            f"stay: {total} session(s) of {len(found.stuck)} user(s) such as {first}. AstrBot deletes a "
            f"session for its own user alone, and no key is that user.{advice}"
        )
    if found.names_left_out:
        click.echo(f"not looked at: {found.names_left_out} more user name(s) of earlier runs")


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{done} of {total}", nl=done == total, err=True)
