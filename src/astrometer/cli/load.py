"""`astrometer load`: prepare a Locust run, show it, write its report, exit by its verdict."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from astrometer import bundled
from astrometer.cli import locust_run
from astrometer.config.settings import ConfigError
from astrometer.measure.slo.slo_parser import ObjectiveError, parse_objectives

if TYPE_CHECKING:
    from astrometer.load.schedule.profile import Profile


def _list_arguments(ctx: click.Context, _param: click.Parameter, asked: bool) -> None:
    if asked:
        from astrometer.load import options

        click.echo(f"Arguments of every run, with their environment variables:\n\n{options.describe()}")
        ctx.exit()


@click.command(short_help="Load a server with a Locust scenario; report and verdict.")
@click.option(
    "--list-arguments",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_arguments,
    help="List what may stand after -- besides Locust's own arguments.",
)
@click.argument("scenario", metavar="SCENARIO|FILE")
@click.argument("locust_args", nargs=-1, type=click.UNPROCESSED, metavar="[-- LOCUST_ARGS]")
@click.option(
    "--host", metavar="URL", help="Target by URL, with the key of ASTRBOT_API_KEY or ASTRBOT_API_KEY_FILE."
)
@click.option("--target", metavar="NAME", help="Target by its name in the configuration, with its keys.")
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="Configuration [astrometer.toml]"
)
@click.option(
    "-u", "--users", type=click.IntRange(1), help="Closed model: users who wait for their answers. [10]"
)
@click.option(
    "--rate",
    type=locust_run.Rate(),
    metavar="N/s",
    help="Open model: arrivals per second (5/s, 90/m), whether or not earlier ones are done.",
)
@click.option(
    "--arrivals",
    type=click.Choice(["poisson", "constant"]),
    default="poisson",
    show_default=True,
    help="How the arrivals of --rate are spaced.",
)
@click.option(
    "--shape",
    "--stages",
    "shape",
    metavar="SHAPE",
    help="Users or a rate over time, instead of --users, --rate and --duration: '10:1m,50:2m,20:30s', "
    "'ramp 1..100 for 5m', 'spike 2/s..20/s of 30s for 5m', 'soak 50 for 1h', "
    "'sine 10..50 period 2m for 10m', 'constant 20 for 5m'. Each stage has its own numbers in the report.",
)
@click.option(
    "-t",
    "--duration",
    type=locust_run.WholeSeconds(),
    default="60s",
    show_default=True,
    help="0: until Ctrl-C.",
)
@click.option(
    "-r",
    "--spawn-rate",
    type=click.FloatRange(0, min_open=True),
    help="Users per second [all within 2 s; with --rate at once]",
)
@click.option(
    "--warmup",
    type=locust_run.Duration(),
    default="0s",
    help="After the ramp: also accounted for and not measured.",
)
@click.option(
    "--stop-timeout",
    type=locust_run.WholeSeconds(),
    default="30s",
    show_default=True,
    help="How long running turns may go on after the end; then they are cut off.",
)
@click.option("--processes", type=click.IntRange(1), help="Load from this many processes.")
@click.option(
    "--slo",
    "slos",
    multiple=True,
    metavar="EXPR",
    help="Objective: 'ttft_p95 < 2s', 'errors < 1%', of one scenario 'chat: e2e_p99 < 30s'.",
)
@click.option(
    "--abort-on-fail",
    "abort_after",
    type=locust_run.Duration(),
    help="End in order once an objective is not met, at the earliest so long after the warm-up.",
)
@click.option(
    "--budget-tokens",
    type=click.IntRange(1),
    metavar="N",
    help="End in order when the server has counted N tokens, input and output, in all chats together.",
)
@click.option(
    "--stall-threshold",
    type=locust_run.Duration(),
    help="A pause in the middle of an answer that is longer than this is a stall. [1s]",
)
@click.option(
    "--deletable",
    is_flag=True,
    help="Chat as the API key itself, so that `astrometer clean` can delete the sessions (AstrBot 4.26 on).",
)
@click.option("--no-check", is_flag=True, help="Do not ask the server first whether it takes the key.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before loading a server that is elsewhere.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory of results.json, report.html, locust.log [astrometer-results/SCENARIO-TIME]",
)
@click.option("--web", is_flag=True, help="With Locust's web UI, on the loopback; it stays until Ctrl-C.")
@click.option("--web-port", type=click.IntRange(1, 65535), default=8089, show_default=True)
@click.option("--dry-run", is_flag=True, help="Print the same run as a plain locust command, and do nothing.")
def command(  # noqa: PLR0917 (click passes them all by name)
    scenario: str,
    locust_args: tuple[str, ...],
    host: str | None,
    target: str | None,
    config_file: Path | None,
    users: int | None,
    rate: float | None,
    arrivals: str,
    shape: str | None,
    duration: float,
    spawn_rate: float | None,
    warmup: float,
    stop_timeout: float,
    processes: int | None,
    slos: tuple[str, ...],
    abort_after: float | None,
    budget_tokens: int | None,
    stall_threshold: float | None,
    deletable: bool,
    no_check: bool,
    yes: bool,
    out: Path | None,
    web: bool,
    web_port: int,
    dry_run: bool,
) -> None:
    """Load a server with a scenario (chat, uploads, im_bursts, reads, mixed) or a locustfile of your own.

    What stands after -- goes to Locust: its own arguments (`locust --help`), those of a run
    (--list-arguments) and those of the locustfile.

    Exit codes: 0 every objective was met, or none was set; 1 one was not; 2 a wrong option, or a key
    that the server refuses; 3 the run is INVALID (the load generator was the bottleneck, too few samples, a
    worker was lost); 4 the target does not answer, or not like an AstrBot.
    """
    from astrometer.load import launch, run_journal
    from astrometer.load.calibrate import calibration_limit

    if users is not None and rate is not None:
        raise click.UsageError("either --users (closed model) or --rate (open model)")
    if abort_after is not None and not slos and host is not None:
        raise click.UsageError("--abort-on-fail without an objective: add --slo")
    tokens, unit = launch.users_for(rate) if rate is not None else (users or 10, None)
    spawning = spawn_rate or (float(tokens) if rate is not None else max(1.0, tokens / 2))
    profile = _profile(shape)
    is_open = rate is not None or (profile is not None and profile.is_rate)
    locust_run.must_be_open(is_open=is_open)
    try:
        locustfile = bundled.find("locustfiles", scenario)
        chosen, objectives = locust_run.choose_target(host, target, config_file)
        objectives += [item.text for item in parse_objectives(slos)]
    except (bundled.NotBundled, ConfigError, ObjectiveError) as exc:
        raise click.UsageError(str(exc)) from exc
    excluded = warmup if profile else (tokens - 1) // spawning + warmup
    length_s = profile.duration_s if profile else duration
    if length_s and excluded >= length_s:
        raise click.UsageError(
            f"ramp and warm-up take {excluded:g} s of a run of {length_s:g} s: nothing would be measured"
        )
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    plan = launch.LoadPlan(
        locustfile=locustfile,
        target=chosen,
        users=tokens,
        spawn_rate=spawning,
        warmup_s=excluded,
        rate_unit=unit,
        arrivals=arrivals,
        shape=profile,
        duration_s=duration or None,
        stop_timeout_s=stop_timeout,
        processes=processes,
        slos=objectives,
        abort_after_s=abort_after,
        budget_tokens=budget_tokens,
        stall_threshold_s=stall_threshold,
        journal=run_journal.path(),
        out=out or Path("astrometer-results") / f"{locustfile.stem}-{stamp}",
        web_port=web_port if web else None,
        extra=locust_args,
    )
    if dry_run:
        locust_run.show(plan)
        return
    most = round(profile.peak) if profile is not None else tokens
    warning = calibration_limit.before(None if is_open else most, processes, locust_args)
    locust_run.go(plan, warning=warning, yes=yes, no_check=no_check, deletable=deletable)


def _profile(shape: str | None) -> "Profile | None":
    from astrometer.load.schedule.profile import Profile
    from astrometer.load.schedule.profile_parser import ProfileError

    if shape is None:
        return None
    context = click.get_current_context()
    for name in ("users", "rate", "duration", "spawn_rate"):
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            flag = name.replace("_", "-")
            raise click.UsageError(f"--shape says it all: leave out --{flag}")
    try:
        return Profile.parse(shape)
    except ProfileError as exc:
        raise click.UsageError(str(exc)) from exc
