"""The options of a test in blocks (`release`, `bisect`) -> its plan; refused where it could never be run.

Nothing is installed or started here.
"""

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from astrometer import bundled
from astrometer.cli.shared import locust_run
from astrometer.cli.shared.comparing import MARGIN_OPTION, SHARE_MARGIN_OPTION, gates_of
from astrometer.cli.shared.option_types import Duration, Rate
from astrometer.cli.shared.run_options import given_of_run, run_options
from astrometer.cli.shared.without_effect import refuse, typed
from astrometer.compare.gates import ANY, Gate, parse_gate
from astrometer.load.options import Settings
from astrometer.load.schedule.arrivals import Process
from astrometer.output_files import try_place
from astrometer.release.fitting_load import (
    ARRIVALS,
    BUSY,
    LONGEST_BLOCK_S,
    SHORTEST_BLOCK_S,
    WARM_UP_PER_S,
    fitting_block_s,
)
from astrometer.suggestion import did_you_mean
from astrometer.units import plain_number

if TYPE_CHECKING:
    from astrometer.load.launch import LoadPlan
    from astrometer.release.release_plan import ReleasePlan, Role
    from astrometer.release.sides import SideSpec

F = TypeVar("F", bound=Callable[..., Any])
# Of each block. Arrivals at even distances meet each other alike in every block; those of a Poisson process
# queue by chance, and telling the same difference takes four times the blocks (bench/RESULTS.md).
DEFAULTS = {"warmup": "3s", "arrivals": Process.CONSTANT.value}
NO_TOKENS = "Tokens: none. A stub model answers, and the servers are removed with all that was made on them."


def block_options(budget: str, budget_help: str, fail_if_help: str) -> Callable[[F], F]:
    """What is measured, and how: pass all of it to `plan_of`. `budget`: the default."""

    def decorate(command: F) -> F:
        for option in reversed(
            (
                click.option(
                    "--scenario", default="mixed", show_default=True, metavar="SCENARIO|FILE",
                    help="As for load.",
                ),
                click.option(
                    "--budget", type=Duration(whole=True, positive=True), default=budget, show_default=True,
                    help=budget_help,
                ),
                click.option(
                    "--block", type=Duration(whole=True, positive=True),
                    help="Length of each block of load; the sides take turns block by block. "
                    f"[{SHORTEST_BLOCK_S:g}s, or as long as {ARRIVALS} arrivals take]",
                ),
                click.option("-u", "--users", type=click.IntRange(1), help="Closed model: users at once."),
                click.option(
                    "--rate", type=Rate(), metavar="N/s",
                    help="Open model: arrivals per second. [as many as keep the slower server busy for "
                    f"{BUSY:.0%} of the time]",
                ),
                click.option(
                    "--fail-if", "gates", multiple=True, metavar="EXPR", callback=gates_of,
                    help=f"As for compare: 'ttft_p95 worse by 10%'. {fail_if_help}",
                ),
                MARGIN_OPTION,
                SHARE_MARGIN_OPTION,
                click.option(
                    "--ttft", type=Duration(), default="200ms", show_default=True,
                    help="Stub model: time to first token.",
                ),
                click.option(
                    "--gap", type=Duration(), default="20ms", show_default=True,
                    help="Stub model: time between tokens.",
                ),
                click.option(
                    "--tokens", type=click.IntRange(1), default=40, show_default=True,
                    help="Stub model: tokens of an answer.",
                ),
                click.option(
                    "--im-sink", is_flag=True, help="Connect a messenger that records which IM pushes arrive."
                ),
                click.option(
                    "--messenger", is_flag=True,
                    help="Give each server an adapter for people in a messenger (im_chat, mixed).",
                ),
                click.argument(
                    "locust_args", nargs=-1, type=click.UNPROCESSED, metavar="[-- LOCUST_ARGS]"
                ),
                run_options("release", DEFAULTS),
            )
        ):  # fmt: skip
            command = option(command)
        return command

    return decorate


def earlier_directory(out: Path | None) -> Path:
    """Of --more: that of the test to continue. Raises click.UsageError."""
    if out is None:
        raise click.UsageError("--more: name the directory of the test to continue with --out")
    return out


def new_directory(out: Path | None, name: str) -> Path:
    """`--out`, or one that is called by command and time. Raises click.UsageError."""
    directory = out or Path("astrometer-results") / f"{name}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    if directory.exists() and any(directory.iterdir()):
        raise click.UsageError(f"--out {directory}: holds something already")
    try_place(directory, "--out")
    return directory


def plan_of(
    ctx: click.Context,
    specs: "dict[Role, SideSpec]",
    *,
    out: Path | None,
    scenario: str,
    budget: float,
    block: float | None,
    users: int | None,
    rate: float | None,
    gates: list[Gate],
    margin: float,
    share_margin: float,
    ttft: float,
    gap: float,
    tokens: int,
    im_sink: bool,
    messenger: bool,
    locust_args: tuple[str, ...],
    more: bool = False,
    **_of_run: Any,
) -> "ReleasePlan":
    """Raises click.UsageError."""
    from astrometer.config import target_access
    from astrometer.load import launch
    from astrometer.release.release_plan import ReleasePlan
    from astrometer.targets.script import ModelScript

    if users is not None and rate is not None:
        raise click.UsageError("--users (closed model) cannot be combined with --rate (open model)")
    given, extra = given_of_run(ctx, locust_args, DEFAULTS)
    settings = Settings.given(given)
    locustfile = bundled.find("locustfiles", scenario)
    if settings.warmup.is_found:
        raise click.UsageError("--warmup auto: a block is too short to find it in; say how long it is")
    said, shape = typed(ctx), settings.shape
    if shape is not None:
        refuse(said, ("users", "rate", "block"), "cannot be combined with --shape")
    is_closed = users is not None or (shape is not None and not shape.is_rate)
    locust_run.must_be_open(said, "--rate 5/s, or one in --shape", is_open=not is_closed)
    if not messenger:
        refuse(said, ["reply_quiet_s"], "needs --messenger")
    fits_rate = users is None and rate is None and shape is None
    level = launch.UserLevel.of(users, WARM_UP_PER_S if fits_rate else rate)
    fits_block = fits_rate and block is None
    if block is None:
        block = fitting_block_s(rate, settings.warmup_s) if rate is not None else SHORTEST_BLOCK_S
    ramp_s, length_s = (0.0, shape.duration_s) if shape is not None else (level.ramp_s, block)
    _check_times(budget, length_s, is_shape=shape is not None)
    excluded_s = locust_run.measured_from(settings.warmup_s, ramp_s, length_s)
    given["warmup"] = f"{plain_number(excluded_s)}s"
    given |= level.given()
    directory = earlier_directory(out) if more else new_directory(out, str(ctx.info_name))
    plan = ReleasePlan(
        specs=specs,
        budget_s=budget,
        load=launch.LoadPlan(
            locustfile=locustfile,
            # Of the look at the arguments; each side has its own.
            target=target_access.target_from_options("http://127.0.0.1", _no_server(messenger=messenger)),
            users=level.users,
            spawn_rate=level.spawn_rate,
            duration_s=length_s,
            stop_timeout_s=30.0,
            out=directory,
            given=given,
            extra=extra,
        ),
        model=ModelScript(ttft_s=ttft, gap_s=gap, tokens=tokens),
        fits_rate=fits_rate,
        fits_block=fits_block,
        out=directory,
        gates=gates or [parse_gate(ANY)],
        margin=margin,
        share_margin=share_margin,
        im_sink=im_sink,
        messenger=messenger,
    )
    _look_ahead(plan.load, gates)
    return plan


def _no_server(*, messenger: bool) -> dict[str, str]:
    """What the look at the arguments needs of a server that is not there yet."""
    needed = {"ASTRBOT_API_KEY": "none"}
    return {**needed, "ASTRBOT_MESSENGER_URL": "ws://127.0.0.1/ws"} if messenger else needed


def _look_ahead(load: "LoadPlan", gates: Sequence[Gate]) -> None:
    """What could never be run or judged is a usage error, before anything is installed."""
    from astrometer.compare.samples import ALL
    from astrometer.load.inspect_locustfile import inspect

    inspected = inspect(load, os.environ)
    scopes = {f"--fail-if {gate.text!r}": gate.scope for gate in gates}
    for what, scope in scopes.items():
        if scope not in {ALL, *inspected.scenarios}:
            hint = did_you_mean(scope, sorted(inspected.scenarios))
            raise click.UsageError(f"{what}: no scenario {scope!r}{hint}")
    if not inspected.objectives and any(gate.metric == "goodput" for gate in gates):
        raise click.UsageError("--fail-if: goodput is what meets the objectives: add --slo 'ttft_p95 < 2s'")


def _check_times(budget_s: float, block_s: float, *, is_shape: bool) -> None:
    """Raises click.UsageError."""
    from astrometer.compare.repeated_looks import FEWEST_PAIRS

    if block_s > LONGEST_BLOCK_S and not is_shape:
        raise click.UsageError(
            f"--block: at most {LONGEST_BLOCK_S:g}s; more blocks say more than longer ones"
        )
    if budget_s < 2 * FEWEST_PAIRS * block_s:
        raise click.UsageError(
            f"--budget {budget_s:g}s has no room for {FEWEST_PAIRS} pairs of blocks of {block_s:g} s, "
            "before which nothing is decided"
        )
