"""`astrometer release`: is this AstrBot as good as that one? One exit code, one directory."""

import os
import signal
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from astrometer import bundled, exit_codes
from astrometer.cli import locust_run
from astrometer.cli.compare import (
    ACCEPT_OPTION,
    MARGIN_OPTION,
    SHARE_MARGIN_OPTION,
    conclude,
    exit_code,
    gates_of,
)
from astrometer.cli.options import Duration, Rate
from astrometer.cli.run_options import RunCommand, given_of_run, run_options
from astrometer.cli.terminal import print_rich
from astrometer.compare.gates import ANY, Gate, parse_gate
from astrometer.load.option_table import OptionError
from astrometer.load.options import Settings
from astrometer.output_files import NoPlaceError, try_place
from astrometer.suggestion import did_you_mean
from astrometer.units import plain_number

if TYPE_CHECKING:
    from astrometer.compare.compare_view import ConditionView, Page
    from astrometer.load.launch import LoadPlan
    from astrometer.release.block_sequence import BlockSequence
    from astrometer.release.session import ReleaseSession


DEFAULTS = {"warmup_s": "3s"}  # of each block
DEFAULT_USERS = 20
LONGEST_BLOCK_S = 50.0  # so that a server that died in one is told within a minute


@click.command(cls=RunCommand, short_help="Test a release: a candidate against a baseline, in sandboxes.")
@click.option(
    "--astrbot", "candidate", required=True, metavar="VERSION|PATH",
    help="The CANDIDATE, which is judged: a version, latest, a wheel or a checkout.",
)  # fmt: skip
@click.option(
    "--against", "baseline", required=True, metavar="VERSION|PATH",
    help="The BASELINE, which it is compared with.",
)  # fmt: skip
@click.option("--scenario", default="mixed", show_default=True, metavar="SCENARIO|FILE", help="As for load.")
@click.option(
    "--budget", type=Duration(whole=True, positive=True), default="10m", show_default=True,
    help="Longest time of measuring; it ends sooner when all is decided.",
)  # fmt: skip
@click.option(
    "--block", type=Duration(whole=True, positive=True), default="20s", show_default=True,
    help="Length of each block of load; the sides take turns block by block.",
)  # fmt: skip
@click.option("-u", "--users", type=click.IntRange(1), help=f"Closed model. [{DEFAULT_USERS}]")
@click.option("--rate", type=Rate(), metavar="N/s", help="Open model: arrivals per second.")
@click.option(
    "--fail-if", "gates", multiple=True, metavar="EXPR", callback=gates_of,
    help="As for compare: 'ttft_p95 worse by 10%'. Repeatable. [any worse]",
)  # fmt: skip
@MARGIN_OPTION
@SHARE_MARGIN_OPTION
@ACCEPT_OPTION
@click.option("--ttft", type=click.FloatRange(0), default=0.2, show_default=True, help="Stub model, seconds.")
@click.option("--gap", type=click.FloatRange(0), default=0.02, show_default=True, help="Between its tokens.")
@click.option("--tokens", type=click.IntRange(1), default=40, show_default=True, help="Of its answers.")
@click.option("--im-sink", is_flag=True, help="With a messenger that notes what IM pushes deliver.")
@click.option("--messenger", is_flag=True, help="With an adapter for people in a messenger (im_chat, mixed).")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False),
    help="Directory, new or empty. [astrometer-results/release-TIME]",
)  # fmt: skip
@click.argument("locust_args", nargs=-1, type=click.UNPROCESSED, metavar="[-- LOCUST_ARGS]")
@run_options("release", DEFAULTS)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    candidate: str,
    baseline: str,
    scenario: str,
    budget: float,
    block: float,
    users: int | None,
    rate: float | None,
    gates: list[Gate],
    margin: float,
    share_margin: float,
    accept_undecided: bool,
    ttft: float,
    gap: float,
    tokens: int,
    im_sink: bool,
    messenger: bool,
    out: Path | None,
    locust_args: tuple[str, ...],
    **_of_run: Any,
) -> None:
    """Compare a candidate AstrBot with a baseline under the same load, and say whether it may be released.

    Both are installed and run side by side, each in a sandbox with a stub model of its own. Blocks of load
    take turns (baseline, candidate, candidate, baseline, ...). After each pair every condition is looked at,
    by intervals that hold at all looks together. It ends when all is decided, or when the budget is spent.
    The directory holds every block, compare.html, compare.json, summary.md and junit.xml.

    Exit codes: 0 nothing speaks against it, 1 an objective was missed or a condition of --fail-if came true,
    2 usage, 3 it cannot be told (INVALID, or a condition undecided), 4 a server could not be had, or died.
    """
    from astrometer.compare import compare_junit
    from astrometer.config import loader
    from astrometer.load import launch
    from astrometer.release import release_plan as planning
    from astrometer.release.session import ReleaseSession
    from astrometer.release.sides import SideSpec
    from astrometer.targets.script import ModelScript

    if users is not None and rate is not None:
        raise click.UsageError("--users (closed model) cannot be combined with --rate (open model)")
    given, extra = given_of_run(ctx, locust_args, DEFAULTS)
    try:
        settings = Settings.given(given)
        locustfile = bundled.find("locustfiles", scenario)
    except (bundled.NotBundled, OptionError) as exc:
        raise click.UsageError(str(exc)) from exc
    shape = settings.shape
    if shape is not None:
        locust_run.refuse_beside(ctx, "--shape", ("users", "rate", "block"))
    level = locust_run.UserLevel.of(users or DEFAULT_USERS, rate)
    ramp_s, length_s = (0.0, shape.duration_s) if shape is not None else (level.ramp_s, block)
    _check_times(budget, length_s, is_shape=shape is not None)
    excluded_s = locust_run.measured_from(settings.warmup_s, ramp_s, length_s)
    given["warmup_s"] = f"{plain_number(excluded_s)}s"
    if level.rate_unit is not None:
        given["rate_unit"] = plain_number(level.rate_unit)
    directory = out or Path("astrometer-results") / f"release-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    if directory.exists() and any(directory.iterdir()):
        raise click.UsageError(f"--out {directory}: holds something already")
    try:
        try_place(directory, "--out")
    except NoPlaceError as exc:
        raise click.UsageError(str(exc)) from exc
    plan = planning.ReleasePlan(
        specs={
            planning.Role.BASELINE: SideSpec(astrbot=baseline),
            planning.Role.CANDIDATE: SideSpec(astrbot=candidate),
        },
        budget_s=budget,
        load=launch.LoadPlan(
            locustfile=locustfile,
            # Of the look at the arguments; each side has its own.
            target=loader.target_from_options("http://127.0.0.1", _no_server(messenger=messenger)),
            users=level.users,
            spawn_rate=level.spawn_rate,
            duration_s=length_s,
            stop_timeout_s=30.0,
            processes=None,
            out=directory,
            web_port=None,
            given=given,
            extra=extra,
        ),
        model=ModelScript(ttft_s=ttft, gap_s=gap, tokens=tokens),
        out=directory,
        gates=gates or [parse_gate(ANY)],
        margin=margin,
        share_margin=share_margin,
        im_sink=im_sink,
        messenger=messenger,
    )
    _look_ahead(plan.load, gates)
    _say("Tokens: none. A stub model answers, and the servers are removed with all that was made on them.")
    session = ReleaseSession(plan, _say)
    ended_by = _run(session)
    if not session.blocks.pairs:
        _say("No pair of blocks was measured: nothing is known.")
        raise SystemExit(ended_by or exit_codes.INVALID)
    shown = judged(session.blocks)
    click.echo()

    def write_more(folder: Path) -> None:
        compare_junit.write_junit(shown, folder / compare_junit.FILE_NAME, accept_undecided=accept_undecided)

    conclude(shown, directory, as_json=False, write_more=write_more)
    print_rich(f"every block is in {directory}")
    raise SystemExit(ended_by or exit_code(shown.verdict, accept_undecided=accept_undecided))


def _no_server(*, messenger: bool) -> dict[str, str]:
    """What the look at the arguments needs of a server that is not there yet."""
    needed = {"ASTRBOT_API_KEY": "none"}
    return {**needed, "ASTRBOT_MESSENGER_URL": "ws://127.0.0.1/ws"} if messenger else needed


def _look_ahead(load: "LoadPlan", gates: Sequence[Gate]) -> None:
    """What could never be run or judged is a usage error, before anything is installed."""
    from astrometer.compare.samples import ALL
    from astrometer.load.inspect_locustfile import Refused, foresee

    try:
        foreseen = foresee(load, os.environ)
    except Refused as exc:
        raise click.UsageError(str(exc)) from exc
    scopes = {f"--fail-if {gate.text!r}": gate.scope for gate in gates}
    for what, scope in scopes.items():
        if scope not in {ALL, *foreseen.scenarios}:
            hint = did_you_mean(scope, sorted(foreseen.scenarios))
            raise click.UsageError(f"{what}: no scenario {scope!r}{hint}")
    if not foreseen.objectives and any(gate.metric == "goodput" for gate in gates):
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


def _run(session: "ReleaseSession") -> int | None:
    """Measure; the exit code of what ended it before its time. Whatever did, no server is left behind."""
    from httpx import HTTPError

    from astrometer.compare.sequence_state import SequenceEnd
    from astrometer.release.session import Interrupted, ReleaseError, ServerGone
    from astrometer.targets.sandbox.database import DatabaseError
    from astrometer.targets.sandbox.find_python import NoPythonError
    from astrometer.targets.sandbox.install import InstallError
    from astrometer.targets.sandbox.provision import ProvisionError
    from astrometer.targets.sandbox.server_process import ChildError

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup is obeyed
            signal.signal(number, _leave)
    try:
        session.execute(session.prepare())
    except (KeyboardInterrupt, Interrupted):
        _say(f"Interrupted: the sandboxes are gone; what was measured is in {session.plan.out}")
        return exit_codes.INTERRUPTED
    except ReleaseError as exc:
        session.blocks.end = SequenceEnd.FAILED
        _say(f"Error: {exc}")
        return exit_codes.INVALID
    except (
        ServerGone,
        InstallError,
        NoPythonError,
        ChildError,
        ProvisionError,
        DatabaseError,
        HTTPError,
        OSError,
    ) as exc:
        session.blocks.end = SequenceEnd.FAILED
        _say(f"Error: {exc}")
        return exit_codes.UNREACHABLE
    return None


def _leave(_number: int, _: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def judged(blocks: "BlockSequence") -> "Page":
    """What every report says. A condition on a scenario of which nothing ran is undecided."""
    from astrometer.compare.compare_view import page
    from astrometer.compare.gates import evaluate_gates

    compared = blocks.compared()
    checks = [_objective_check(item, blocks.pairs) for item in blocks.objectives()]
    gates = evaluate_gates(blocks.plan.gates, compared)
    return page(compared, gates, checks=checks, sequence=blocks.state(compared))


def _objective_check(item: "Mapping[str, Any]", pairs: int) -> "ConditionView":
    """The candidate has to meet it in all blocks together."""
    from astrometer.compare.compare_view import ConditionView
    from astrometer.report import formatting, view

    shown = view.judged(item)
    return ConditionView(
        text=f"candidate: {shown.text}",
        verdict=shown.verdict if shown.verdict in {"PASS", "FAIL"} else "UNDECIDED",
        why=f"{shown.value} (n {shown.n}) in {formatting.plural(pairs, 'block')}",
    )


def _say(text: str) -> None:
    click.echo(text, err=True)
