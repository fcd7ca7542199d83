"""`astrometer capacity --ways`: check every way, search each in turn, show them beside each other."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import click

from astrometer import exit_codes
from astrometer.cli.shared import confirm, locust_run
from astrometer.cli.shared.terminal import print_problem, print_rich, say
from astrometer.cli.shared.without_effect import refuse
from astrometer.load.launch import LoadPlan
from astrometer.load.options import ChatTransport
from astrometer.load.run import run_journal
from astrometer.output_files import write_somewhere

if TYPE_CHECKING:
    from astrometer.ways.ways_plan import WaysPlan


def go(run: locust_run.Asked, load: LoadPlan, ways: str, rounds: int) -> NoReturn:
    """Print the plans, or make all searches and exit by their verdict."""
    from astrometer.ways.ways_plan import WaysError

    try:
        plan = _plan(run, load, ways, rounds)
    except WaysError as exc:
        raise click.UsageError(f"--ways: {exc}") from exc
    if run.flags["dry_run"]:
        for way in plan.ways:
            click.echo(f"{plan.loads[way].shell()}")
        click.echo("# each with the API key in ASTRBOT_API_KEY")
        raise SystemExit(exit_codes.PASS)
    raise SystemExit(_run(plan, run))


def _plan(run: locust_run.Asked, load: LoadPlan, ways: str, rounds: int) -> "WaysPlan":
    """Raises WaysError, click.UsageError."""
    from astrometer.ways.ways_plan import WaysPlan, objectives_of, parse_ways

    refuse(run.typed, ["transport"], "cannot be combined with --ways")
    refuse(run.typed, ["records"], "cannot be combined with --ways: each search would overwrite it")
    refuse(run.typed, ["web"], "cannot be combined with --ways: each search is a run of its own")
    chosen = parse_ways(ways)
    slos = objectives_of(chosen, run.settings.objectives)
    return WaysPlan(
        loads={
            way: replace(load.with_given(transport=way.value, slo=slos[way]), out=load.out / way)
            for way in chosen
        },
        rounds=rounds,
        out=load.out,
    )


def _run(plan: "WaysPlan", run: locust_run.Asked) -> int:
    from astrometer.ways import ways_document, ways_reports
    from astrometer.ways.ways_plan import order
    from astrometer.ways.ways_session import WaysSession

    flags, first = run.flags, plan.loads[plan.ways[0]]
    if plan.out.exists() and any(plan.out.iterdir()):
        raise click.UsageError(f"--out {plan.out}: holds something already")
    each = [locust_run.look_ahead(load, flags) for load in plan.loads.values()]
    inspected = replace(
        each[0],
        leaves_sessions=any(one.leaves_sessions for one in each),
        leaves_conversations=any(one.leaves_conversations for one in each),
    )
    if not inspected.chats:
        raise click.UsageError(f"--ways: nobody chats in {first.locustfile.name}; the ways are ways to chat")
    locust_run.check_target(first.target, flags)
    looked, facts = confirm.look_at_server(first, deletable=flags["deletable"])
    known = {name: looked.given[name] for name in ("kind", "version", "username") if name in looked.given}
    plan = replace(
        plan,
        loads={
            way: load.with_given(**known, journal=str(run_journal.path())) for way, load in plan.loads.items()
        },
    )
    _check_ways(plan, facts.version, flags)
    searches = order(plan.ways, plan.rounds)
    names = [str(search.way) for search in searches]
    confirm.confirm(replace(looked, out=plan.out), facts, inspected, yes=flags["yes"], searches=names)
    session = WaysSession(plan=plan, say=say)
    try:
        session.execute()
    except KeyboardInterrupt:  # between two searches: within one it ends that in order
        session.interrupted = True
    document = ways_document.build(
        plan,
        session.done,
        [objective.text for objective in run.settings.objectives],
        interrupted=session.interrupted,
    )
    print_rich(ways_reports.render(document))
    place = write_somewhere(plan.out, lambda folder: ways_reports.write(document, folder), print_problem)
    if place is not None:
        print_rich("\n".join(str(place / name) for name in ways_reports.FILE_NAMES))
    made = [item.results["names"]["sessions"] for item in session.done if item.results is not None]
    confirm.say_what_is_left(looked, facts, inspected, sum(made))
    return exit_codes.INTERRUPTED if session.interrupted else exit_codes.BY_VERDICT[document["verdict"]]


def _check_ways(plan: "WaysPlan", version: str | None, flags: Mapping[str, Any]) -> None:
    """Before the first search: no hour is lost because the last way is closed.

    Raises click.UsageError, SystemExit.
    """
    from astrometer.probing.target_checks import way_checks

    if (load := plan.loads.get(ChatTransport.MESSENGER)) is not None:
        locust_run.check_adapters(load, version, flags, pushes=False)
    if flags["no_check"]:
        return
    target = plan.loads[plan.ways[0]].target
    wrong = [asyncio.run(way_checks.check_chat_key(target))]
    if ChatTransport.WS in plan.ways:
        wrong.append(asyncio.run(way_checks.check_chat_socket(target, version)))
    if said := "; ".join(text for text in wrong if text is not None):
        raise click.UsageError(f"--ways: {said} (--no-check skips these checks)")
