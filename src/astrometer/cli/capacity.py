"""`astrometer capacity`: prepare a search for the capacity as one Locust run, show it, exit by its answer."""

from typing import Any

import click

from astrometer.cli.parts import capacity_ways
from astrometer.cli.shared import locust_run
from astrometer.cli.shared.run_options import (
    SEARCH_SECTION,
    InSection,
    RunCommand,
    locust_options,
    refused_option,
    run_options,
)
from astrometer.cli.shared.server_options import target_options
from astrometer.cli.shared.without_effect import refuse
from astrometer.load.launch import UserLevel
from astrometer.load.options import SEARCH_CHOOSES


@click.command(cls=RunCommand, short_help="Find the highest load at which every objective holds.")
@click.argument("scenario", metavar="SCENARIO|FILE")
@click.argument("locust_args", nargs=-1, type=click.UNPROCESSED, metavar="[-- LOCUST_ARGS]")
@target_options
@locust_options
@run_options("capacity")
@refused_option("--users", "-u", why=SEARCH_CHOOSES)
@refused_option("--rate", why=SEARCH_CHOOSES)
@refused_option("--duration", "-t", why="a search ends when it has its answer: use --step-time")
@click.option(
    "--ways", metavar="WAY,WAY,...", cls=InSection, section=SEARCH_SECTION,
    help="Search each way to chat, one after the other, and compare them with the first: sse, ws, messenger.",
)  # fmt: skip
@click.option(
    "--rounds", type=click.IntRange(1, 20), default=2, show_default=True, cls=InSection,
    section=SEARCH_SECTION,
    help="With --ways: searches of each way, in alternating order.",
)  # fmt: skip
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    scenario: str,
    ways: str | None,
    rounds: int,
    locust_args: tuple[str, ...],
    **shared: Any,
) -> None:
    """Find the highest load at which every objective holds: the capacity of a server.

    The load doubles until an objective breaks. Between the highest load that passes and the lowest that
    fails, the next load is where the margins say that the limit is crossed, until the gap is small; both
    are confirmed with fresh windows. All of it is one Locust run, with a scenario (chat, im_chat, uploads,
    im_bursts, reads, mixed) or your own locustfile.

    \b
    astrometer capacity chat --host http://127.0.0.1:6185 --slo 'ttft_p95 < 2s'
    astrometer capacity chat --slo 'e2e_effective_p90 < 9s' --start 1/s --max 9/s
    astrometer capacity chat --slo 'e2e_p95 < 3s' --ways sse,ws,messenger

    Exit codes: 0 there is an answer; 1 the lowest load already fails; 2 a wrong option, or a key that the
    server refuses; 3 no answer that can be trusted (the load generator was the bottleneck, too few samples,
    the budget was spent, it was stopped); 4 the target does not answer, or not like an AstrBot.
    """
    run = locust_run.Asked.of(ctx, scenario, locust_args, shared, searches=True)
    search = run.settings.capacity
    if search is None:
        raise click.UsageError("nothing to search for")
    run.must_be_open(is_open=search.is_rate)
    level = UserLevel(users=round(search.maximum), spawn_rate=1.0)
    if ways is None:
        refuse(run.typed, ["rounds"], "needs --ways")
    name = "capacity" if ways is None else "ways"
    plan = run.plan(level, duration_s=None, ramp_s=0.0, directory=f"{{stem}}-{name}-{{time}}")
    if ways is not None:
        capacity_ways.go(run, plan, ways, rounds)
    run.go(plan)
