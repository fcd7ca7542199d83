"""`astrometer load`: prepare a Locust run, show it, write its report, exit by its verdict."""

from typing import Any

import click

from astrometer.cli.parts import workload_level
from astrometer.cli.shared import locust_run
from astrometer.cli.shared.option_types import Duration, Rate
from astrometer.cli.shared.run_options import RunCommand, locust_options, run_options
from astrometer.cli.shared.server_options import target_options
from astrometer.cli.shared.without_effect import refuse
from astrometer.load.launch import UserLevel


def _list_arguments(ctx: click.Context, _param: click.Parameter, asked: bool) -> None:
    if asked:
        from astrometer.load import options

        click.echo(f"Arguments of every run, with their environment variables:\n\n{options.describe()}")
        ctx.exit()


@click.command(cls=RunCommand, short_help="Load a server with a Locust scenario; report and verdict.")
@click.argument("scenario", metavar="SCENARIO|FILE")
@click.argument("locust_args", nargs=-1, type=click.UNPROCESSED, metavar="[-- LOCUST_ARGS]")
@target_options
@click.option(
    "-u", "--users", type=click.IntRange(1), metavar="N",
    help="Closed model: users who wait for their answers. [10]",
)  # fmt: skip
@click.option(
    "--rate", type=Rate(), metavar="N/s",
    help="Open model: arrivals per second (5/s, 90/m), whether or not earlier ones are done.",
)  # fmt: skip
@click.option(
    "--scale", type=click.FloatRange(0, min_open=True), metavar="N",
    help="With --workload: N times its busiest hour, as arrivals of conversations. [1]",
)  # fmt: skip
@click.option(
    "--closed", is_flag=True, help="With --scale: as users who wait for their answers, instead of arrivals."
)
@click.option(
    "-t", "--duration", type=Duration(whole=True), default="60s", show_default=True,
    help="How long to load. 0: until Ctrl-C.",
)  # fmt: skip
@click.option(
    "-r", "--spawn-rate", type=click.FloatRange(0, min_open=True), metavar="N",
    help="Users started per second. [all within 2 s; with --rate at once]",
)  # fmt: skip
@locust_options
@run_options("load")
@click.option(
    "--list-arguments", is_flag=True, is_eager=True, expose_value=False, callback=_list_arguments,
    help="List the options of the run with their environment variables, and exit.",
)  # fmt: skip
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    scenario: str,
    locust_args: tuple[str, ...],
    users: int | None,
    rate: float | None,
    scale: float | None,
    closed: bool,
    duration: float,
    spawn_rate: float | None,
    **shared: Any,
) -> None:
    """Load a server with a scenario (chat, im_chat, uploads, im_bursts, reads, mixed) or your own locustfile.

    Arguments behind -- go to Locust: its own (`locust --help`) and those of the locustfile.

    Exit codes: 0 every objective was met, or none was set; 1 one was missed, or nothing succeeded; 2 a wrong
    option, or a key that the server refuses; 3 the run is INVALID (the load generator was the bottleneck, too
    few samples, a worker was lost) or DRIFTING (it was not steady); 4 the target does not answer, or not like
    an AstrBot.
    """
    run = locust_run.Asked.of(ctx, scenario, locust_args, shared)
    if users is not None and rate is not None:
        raise click.UsageError("--users (closed model) cannot be combined with --rate (open model)")
    shape = run.settings.shape
    if shape is not None:
        refuse(run.typed, ("users", "rate", "duration", "spawn_rate"), "cannot be combined with --shape")
    level = workload_level.level(run, ctx, scale, closed=closed) or UserLevel.of(users, rate, spawn_rate)
    is_open = (
        level.rate_unit is not None or (shape is not None and shape.is_rate) or run.settings.rate_unit > 0
    )
    run.must_be_open(is_open=is_open)
    plan = run.plan(
        level,
        duration_s=(shape.duration_s if shape is not None else duration) or None,
        ramp_s=0.0 if shape is not None else level.ramp_s,
        directory="{stem}-{time}",
    )
    run.go(plan)
