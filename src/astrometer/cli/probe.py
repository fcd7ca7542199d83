"""`astrometer probe`: ask once and print verdicts, or keep asking and export them to Prometheus."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from time import perf_counter, time

import click

from astrometer import bundled, exit_codes
from astrometer.cli.parts import probe_notify
from astrometer.cli.parts.probe_output import exit_code, print_json, print_table, unreachable_targets
from astrometer.cli.parts.probe_sources import Sources
from astrometer.cli.shared import deletable_sessions
from astrometer.cli.shared.option_types import Duration
from astrometer.cli.shared.server_options import Server, target_options
from astrometer.cli.shared.terminal import say
from astrometer.cli.shared.without_effect import refuse, typed
from astrometer.config.settings import Config
from astrometer.probing.budget import Ledger
from astrometer.probing.cleanup.leak_journal import LeakJournal
from astrometer.probing.daily_cost import once_sentences
from astrometer.probing.plan import Plan
from astrometer.probing.runner import Runner, run_once
from astrometer.probing.status.layer_evidence import blamers_of
from astrometer.probing.status.state_by_layer import states_of_once
from astrometer.probing.verdict import ProbeRun

OURS = "ours"
RETRY_S = 1.0
OF_ONCE = ("as_json", "wait", "notify")
OF_EXPORTER = ("listen", "allowed_hosts", "web_file")
WITHOUT_EFFECT = {
    "once": OF_EXPORTER,
    "check": ("once", "test_notify", "deletable"),  # of an exporter's options it checks the values
    "test_notify": ("once", "names", "folders", "state_dir", "deletable", *OF_EXPORTER),
}


@click.command("probe", short_help="Probe AstrBot: once, or all the time as a Prometheus exporter.")
@click.option("--once", is_flag=True, help="Run every probe once, print the verdicts, and exit by them.")
@target_options
@click.option("--probe", "names", multiple=True, metavar="NAME", help="Only these probes. Repeatable.")
@click.option(
    "--probes", "folders", multiple=True, metavar="DIR",
    help="Folder of probe files in place of the bundled ones. Repeatable; `ours` means the bundled ones.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="With --once: print the verdicts as a JSON list.")
@click.option(
    "--wait",
    type=Duration(),
    help="With --once: how long to try again while a target cannot be reached, such as 60s.",
)
@click.option(
    "--listen", default="127.0.0.1:16185", show_default=True, metavar="ADDR:PORT",
    help="Where the exporter answers. `:PORT` and `[::]:PORT` are all addresses, of IPv4 and IPv6.",
)  # fmt: skip
@click.option(
    "--allowed-host", "allowed_hosts", multiple=True, metavar="NAME",
    help="Another name by which browsers and scrapers call the exporter, such as a proxy's. Repeatable.",
)  # fmt: skip
@click.option(
    "--web-config", "web_file", type=click.Path(path_type=Path, dir_okay=False),
    help="TLS and users of the exporter: a web configuration file of Prometheus' exporter-toolkit.",
)  # fmt: skip
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where budgets and the journal of leftovers survive a restart (default: as the config says).",
)
@click.option(
    "--deletable", is_flag=True, help="Refuse targets on which the sessions of probes could not be deleted."
)
@click.option(
    "--notify", is_flag=True,
    help="With --once: tell the receivers of [[notify]] what changed. For cron; needs a state folder.",
)  # fmt: skip
@click.option(
    "--test-notify", "test_notify", is_flag=True,
    help="Send a test message to every receiver of [[notify]], and exit.",
)  # fmt: skip
@click.option("--check", is_flag=True, help="Check the settings and the probe files, and exit.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    once: bool,
    server: Server,
    names: tuple[str, ...],
    folders: tuple[str, ...],
    as_json: bool,
    wait: float | None,
    listen: str,
    allowed_hosts: tuple[str, ...],
    web_file: Path | None,
    state_dir: Path | None,
    deletable: bool,
    notify: bool,
    test_notify: bool,
    check: bool,
) -> None:
    """Probe AstrBot: once with --once, else around the clock as a Prometheus exporter.

    Exit codes with --once: 0 every probe passed, 1 a probe failed, 2 usage, 3 none failed, but one was not
    asked because a budget is spent, 4 a target that no probe reached. With --check: 0 fine, 2 not. With
    --test-notify: 0 every receiver took the message, 1 not.
    """
    given = typed(ctx)
    if not once:
        refuse(given, OF_ONCE, "needs --once")
    for mode, without_effect in WITHOUT_EFFECT.items():
        if mode in given:
            refuse(given, without_effect, f"cannot be combined with {given[mode]}")
    address, port = _listen(listen)
    sources = Sources(
        server=server, names=names, folders=_folders(folders), web_file=web_file, state_dir=state_dir
    )
    if check:
        _check(sources)
    elif test_notify:
        probe_notify.test(sources.config())
    elif once:
        _once(sources, as_json=as_json, wait_s=wait or 0.0, deletable=deletable, notify=notify)
    else:
        _serve(sources, address, port, allowed_hosts, deletable=deletable)


def _check(sources: Sources) -> None:
    loaded = sources.read()
    for plan in loaded.plans:
        if plan.missing is not None:
            needed = f"a key with the scope {plan.missing_scope}" if plan.missing_scope else "a messenger"
            click.echo(f"{plan.target.name}: {plan.probe.name} needs {needed}")
    for cost in loaded.costs:
        click.echo(cost.sentence)
    if loaded.broken:
        raise click.UsageError("\n".join(loaded.broken))
    click.echo(f"{loaded.summary}: fine")


def _serve(
    sources: Sources, address: str, port: int, allowed_hosts: tuple[str, ...], *, deletable: bool
) -> None:
    from astrometer.probing.exporter.serve import ListenError, serve

    loaded = sources.read()
    for broken in loaded.broken:
        say(broken)
    if deletable:
        deletable_sessions.must_be_deletable(loaded.config.targets.values())
    for cost in loaded.costs:
        say(cost.sentence)
    try:
        asyncio.run(
            serve(
                loaded,
                sources.read,
                address=address,
                port=port,
                allowed_hosts=allowed_hosts,
                runner=_runner(loaded.config, paced=True),
                say=say,
            )
        )
    except ListenError as exc:
        click.echo(f"Error: {exc}", err=True)
        raise SystemExit(exit_codes.USAGE) from exc


def _once(sources: Sources, *, as_json: bool, wait_s: float, deletable: bool, notify: bool) -> None:
    config = sources.config()
    if notify:
        probe_notify.must_have_receivers(config)
    found = sources.probes()
    for broken in found.broken:
        click.echo(f"not a probe, left out: {broken.problem}", err=True)
    plans = sources.plans(config, found)
    if not sources.names and not any(plan.target.keys or plan.target.messenger for plan in plans):
        raise click.UsageError(
            "no API key: set ASTRBOT_API_KEY or ASTRBOT_API_KEY_FILE, or name keys in the configuration "
            "(--probe server needs none)"
        )
    if deletable:
        deletable_sessions.must_be_deletable(config.targets.values())
    for sentence in once_sentences(plans, Ledger(config.state_dir)):
        click.echo(sentence, err=True)
    runs = asyncio.run(_ask(_runner(config), plans, wait_s))
    for run in runs:
        if run.verdict is None:
            if sources.names and run.skipped is None:
                raise click.UsageError(f"{run.probe}: {run.note}")
            click.echo(f"skipped {run.probe} on {run.target}: {run.note}", err=True)
    applied = [run for run in runs if run.verdict is not None or run.skipped]
    if not applied:
        raise click.UsageError(
            "no probe applies: give the target a key (ASTRBOT_API_KEY or [targets.NAME.keys])"
        )
    states = states_of_once(plans, runs, time())
    print_json(applied, states) if as_json else print_table(applied, states)
    deletable_sessions.say_what_stays(applied)
    if notify:
        every = None if sources.server.target else blamers_of(replace(sources, names=()).plans(config, found))
        probe_notify.tell(config, states, runs, every)
    sys.exit(exit_code(runs))


async def _ask(runner: Runner, plans: list[Plan], wait_s: float) -> list[ProbeRun]:
    runner.cut_at_signals()  # the first Ctrl-C gives up the questions, and what they made is still removed
    await runner.orphans.sweep({plan.target.name: plan.target for plan in plans}.values())
    give_up = perf_counter() + wait_s
    runs = {(run.target, run.probe): run for run in await run_once(runner, plans)}
    while (down := unreachable_targets([*runs.values()])) and perf_counter() + RETRY_S < give_up:
        await asyncio.sleep(RETRY_S)
        again = await run_once(runner, [plan for plan in plans if plan.target.name in down])
        runs |= {(run.target, run.probe): run for run in again}
    runner.journal.close()
    return [*runs.values()]


def _runner(config: Config, *, paced: bool = False) -> Runner:
    """`paced`: spread budgets over the day. Who asks once wants the answer now."""

    return Runner(
        ledger=Ledger(config.state_dir, paced=paced, say=say), journal=LeakJournal(config.state_dir, say=say)
    )


def _folders(given: tuple[str, ...]) -> tuple[Path, ...]:
    folders = tuple(bundled.folder("probes") if name == OURS else Path(name) for name in given or (OURS,))
    for folder in folders:
        if not folder.is_dir():
            raise click.UsageError(f"--probes {folder}: no such folder")
    return folders


def _listen(text: str) -> tuple[str, int]:
    address, colon, port = text.rpartition(":")
    is_port = colon and port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) <= 65535
    if not is_port or (":" in address and not address.startswith("[")):
        raise click.UsageError(
            f"--listen {text}: ADDRESS:PORT or :PORT expected, like 127.0.0.1:16185 or [::1]:16185"
        )
    return address.strip("[]"), int(port)
