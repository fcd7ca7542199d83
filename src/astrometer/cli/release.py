"""`astrometer release`: is this AstrBot as good as that one? One exit code, one directory."""

import os
import signal
from collections.abc import Sequence
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
from astrometer.compare.gates import Gate, parse_gate
from astrometer.load.option_table import OptionError
from astrometer.load.options import Settings
from astrometer.output_files import NoPlaceError, try_place
from astrometer.suggestion import did_you_mean
from astrometer.units import plain_number

if TYPE_CHECKING:
    from astrometer.compare.comparable import ComparedRun
    from astrometer.compare.compare_view import ConditionView, Page
    from astrometer.load.launch import LoadPlan
    from astrometer.release.release_plan import ReleasePlan, Role


DEFAULTS = {"warmup_s": "5s"}


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
@click.option("--repeat", type=click.IntRange(1), default=3, show_default=True, help="Runs of each.")
@click.option("-u", "--users", type=click.IntRange(1), help="Closed model. [10]")
@click.option("--rate", type=Rate(), metavar="N/s", help="Open model: arrivals per second.")
@click.option(
    "-t", "--duration", type=Duration(whole=True, positive=True), default="60s", show_default=True,
    help="Length of each run.",
)  # fmt: skip
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
@click.option(
    "--tries", type=click.IntRange(1), default=2, show_default=True,
    help="How often a run is made, at most, when it comes out INVALID.",
)  # fmt: skip
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
    repeat: int,
    users: int | None,
    rate: float | None,
    duration: float,
    gates: list[Gate],
    margin: float,
    share_margin: float,
    accept_undecided: bool,
    ttft: float,
    gap: float,
    tokens: int,
    im_sink: bool,
    tries: int,
    out: Path | None,
    locust_args: tuple[str, ...],
    **_of_run: Any,
) -> None:
    """Compare a candidate AstrBot with a baseline under the same load, and say whether it may be released.

    Both are installed, then run in turn (baseline, candidate, candidate, baseline, ...), each time as a fresh
    sandbox with the same stub model. The directory holds every run, compare.html, compare.json, summary.md
    and junit.xml.

    Exit codes: 0 nothing speaks against it, 1 an objective was missed or a condition of --fail-if came true,
    2 usage, 3 it cannot be told (a run INVALID, a condition undecided), 4 no server could be had.
    """
    from astrometer.compare import compare_junit
    from astrometer.config import loader
    from astrometer.load import launch
    from astrometer.release import release_plan as planning
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
        locust_run.refuse_beside(ctx, "--shape", ("users", "rate", "duration"))
    level = locust_run.UserLevel.of(users, rate)
    ramp_s, length_s = (0.0, shape.duration_s) if shape is not None else (level.ramp_s, duration)
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
        specs={planning.Role.BASELINE: baseline, planning.Role.CANDIDATE: candidate},
        repeat=repeat,
        load=launch.LoadPlan(
            locustfile=locustfile,
            # Of the look at the arguments; each run has its own.
            target=loader.target_from_options("http://127.0.0.1", {"ASTRBOT_API_KEY": "none"}),
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
        tries=tries,
        im_sink=im_sink,
    )
    _look_ahead(plan.load, gates)
    _say("Tokens: none. A stub model answers, and the servers are removed with all that was made on them.")
    runs = _runs(plan)
    shown = judged(runs, gates or [parse_gate("any worse")], margin, share_margin)
    click.echo()

    def write_more(folder: Path) -> None:
        compare_junit.write_junit(shown, folder / compare_junit.FILE_NAME, accept_undecided=accept_undecided)

    conclude(shown, directory, as_json=False, write_more=write_more)
    print_rich(f"every run is in {directory}")
    raise SystemExit(exit_code(shown.verdict, accept_undecided=accept_undecided))


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


def _runs(plan: "ReleasePlan") -> "dict[Role, list[ComparedRun]]":
    """All runs; whatever ends this process leaves no server behind."""
    from httpx import HTTPError

    from astrometer.release.session import Interrupted, ReleaseError, ReleaseSession
    from astrometer.targets.sandbox.database import DatabaseError
    from astrometer.targets.sandbox.find_python import NoPythonError
    from astrometer.targets.sandbox.install import InstallError
    from astrometer.targets.sandbox.provision import ProvisionError
    from astrometer.targets.sandbox.server_process import ChildError

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup is obeyed
            signal.signal(number, _leave)
    session = ReleaseSession(plan, _say)
    try:
        return session.execute(session.prepare())
    except (KeyboardInterrupt, Interrupted) as exc:
        _say(f"Interrupted: the sandboxes are gone; what was measured is in {plan.out}")
        raise SystemExit(exit_codes.INTERRUPTED) from exc
    except ReleaseError as exc:
        _say(f"Error: {exc}")
        raise SystemExit(exit_codes.INVALID) from exc
    except (
        InstallError,
        NoPythonError,
        ChildError,
        ProvisionError,
        DatabaseError,
        HTTPError,
        OSError,
    ) as exc:
        _say(f"Error: {exc}")
        raise SystemExit(exit_codes.UNREACHABLE) from exc


def _leave(_number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(exit_codes.INTERRUPTED)


def judged(
    runs: "dict[Role, list[ComparedRun]]", gates: list[Gate], margin: float, share_margin: float
) -> "Page":
    """What every report says. A condition on a scenario of which nothing ran is undecided."""
    from astrometer.compare.compare_view import page
    from astrometer.compare.gates import compare_for, evaluate_gates
    from astrometer.release.release_plan import Role

    base, cand = runs[Role.BASELINE], runs[Role.CANDIDATE]
    compared = compare_for(gates, base, cand, margin=margin, share_margin=share_margin)
    return page(compared, evaluate_gates(gates, compared), checks=objective_checks(cand))


def objective_checks(runs: "Sequence[ComparedRun]") -> "list[ConditionView]":
    """Each objective: every run of the candidate has to meet it."""
    from astrometer.compare.compare_view import ConditionView
    from astrometer.report import view

    checks = []
    for judged in zip(*(view.headline(run.results).objectives for run in runs), strict=True):
        verdicts = [item.verdict for item in judged]
        met = verdicts.count("PASS")
        values = ", ".join(item.value for item in judged)
        verdict = "PASS" if met == len(judged) else "FAIL" if "FAIL" in verdicts else "UNDECIDED"
        checks.append(
            ConditionView(
                text=f"candidate: {judged[0].text}",
                verdict=verdict,
                why=f"met in {met} of {len(judged)} runs ({values})",
            )
        )
    return checks


def _say(text: str) -> None:
    click.echo(text, err=True)
