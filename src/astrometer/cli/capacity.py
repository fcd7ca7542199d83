"""`astrometer capacity`: prepare a search for the capacity as one Locust run, show it, exit by its answer."""

from datetime import datetime
from pathlib import Path

import click

from astrometer import bundled
from astrometer.cli import locust_run
from astrometer.config.settings import ConfigError
from astrometer.measure.capacity.search_settings import SearchError, SearchSettings
from astrometer.measure.slo.slo_parser import ObjectiveError, parse_objectives

MAX_USERS = 1000
MAX_RATE_FACTOR = 200  # times --start


class Load(click.ParamType[float]):
    """`10` users, or `5/s` arrivals; negative when it was a rate, which a number of users never is."""

    name = "load"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value)
        if "/" in text:
            return -locust_run.Rate().convert(text, param, ctx)
        if not text.isdecimal() or int(text) < 1:
            self.fail(f"{text!r} is neither a number of users (10) nor a rate (5/s)", param, ctx)
        return float(text)


class Percent(click.ParamType[float]):
    """`5%`."""

    name = "percent"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            return float(str(value).removesuffix("%")) / 100
        except ValueError:
            self.fail(f"{value!r} is no share (write 5%)", param, ctx)


@click.command(short_help="Find the most load at which every objective holds.")
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
    "--slo",
    "slos",
    multiple=True,
    metavar="EXPR",
    help="Objective that must hold: 'ttft_p95 < 2s', 'errors < 1%'; repeatable, at least one.",
)
@click.option(
    "--model",
    type=click.Choice(["closed", "open"]),
    help="closed: users who wait for their answers; open: arrivals per second, whether or not earlier ones "
    "are done. [closed, unless --start is a rate]",
)
@click.option("--start", type=Load(), metavar="N|N/s", help="The first load. [1 user, or 1/s]")
@click.option(
    "--max",
    "maximum",
    type=Load(),
    metavar="N|N/s",
    help=f"No more than this. [{MAX_USERS} users, or {MAX_RATE_FACTOR} times --start]",
)
@click.option(
    "--step-time",
    type=locust_run.Duration(),
    default="30s",
    show_default=True,
    help="Measured at each load; longer, up to ten times, where an objective needs more samples.",
)
@click.option(
    "--settle",
    type=locust_run.Duration(),
    help="After each change of the load, not measured. [a fifth of --step-time]",
)
@click.option(
    "--precision",
    type=Percent(),
    default="5%",
    show_default=True,
    help="Narrow down until the lowest failing load is at most this much above the highest passing one.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1, 21),
    default=3,
    show_default=True,
    help="Windows at the boundary, of which the majority decides; odd.",
)
@click.option(
    "--budget-tokens",
    type=click.IntRange(1),
    metavar="N",
    help="End the search when the server has counted so many tokens; what was found is reported.",
)
@click.option(
    "--arrivals",
    type=click.Choice(["poisson", "constant"]),
    default="poisson",
    show_default=True,
    help="Open model: how the arrivals are spaced.",
)
@click.option(
    "--stop-timeout",
    type=locust_run.WholeSeconds(),
    default="30s",
    show_default=True,
    help="How long to wait for the turns of a window; those that run on count as bad.",
)
@click.option("--processes", type=click.IntRange(1), help="Load from this many processes.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory of results.json and the reports [astrometer-results/SCENARIO-capacity-TIME]",
)
@click.option("--no-check", is_flag=True, help="Do not ask the server first whether it takes the key.")
@click.option("--yes", is_flag=True, help="Do not ask before a server that is not this machine is loaded.")
@click.option("--web", is_flag=True, help="With Locust's web UI, on the loopback; it stays until Ctrl-C.")
@click.option("--web-port", type=click.IntRange(1, 65535), default=8089, show_default=True)
@click.option("--dry-run", is_flag=True, help="Print the same run as a plain locust command, and do nothing.")
def command(  # noqa: PLR0917 (click passes them all by name)
    scenario: str,
    locust_args: tuple[str, ...],
    host: str | None,
    target: str | None,
    config_file: Path | None,
    slos: tuple[str, ...],
    model: str | None,
    start: float | None,
    maximum: float | None,
    step_time: float,
    settle: float | None,
    precision: float,
    repeats: int,
    budget_tokens: int | None,
    arrivals: str,
    stop_timeout: float,
    processes: int | None,
    out: Path | None,
    no_check: bool,
    yes: bool,
    web: bool,
    web_port: int,
    dry_run: bool,
) -> None:
    """Find the most load at which every objective holds: the capacity of a server.

    The load doubles until an objective breaks; then the gap between the highest load that passes and the
    lowest that fails is halved until it is small, and both are confirmed with fresh windows. All of it is
    one Locust run, with a scenario (chat, uploads, im_bursts, reads, mixed) or a locustfile of your own.

    \b
    astrometer capacity chat --host http://127.0.0.1:6185 --slo 'ttft_p95 < 2s' --slo 'errors < 1%'
    astrometer capacity chat --host ... --slo 'e2e_effective_p90 < 10s' --start 1/s --max 40/s

    Exit codes: 0 there is an answer, 1 the lowest load already fails, 3 no answer that can be trusted (the
    load generator was the bottleneck, too few samples, the budget was spent, it was stopped).
    """
    from astrometer.load import launch, run_journal
    from astrometer.load.calibrate import calibration_limit

    try:
        search = _search(
            model, start, maximum, step_s=step_time, settle_s=settle, precision=precision, repeats=repeats
        )
        locustfile = bundled.find("locustfiles", scenario)
        chosen, objectives = locust_run.choose_target(host, target, config_file)
        objectives += [item.text for item in parse_objectives(slos)]
    except (bundled.NotBundled, ConfigError, ObjectiveError, SearchError) as exc:
        raise click.UsageError(str(exc)) from exc
    locust_run.must_be_open(is_open=search.is_rate)
    if not objectives:
        raise click.UsageError("there is no limit without an objective: add --slo 'ttft_p95 < 2s'")
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    plan = launch.LoadPlan(
        locustfile=locustfile,
        target=chosen,
        users=round(search.maximum),
        spawn_rate=1.0,
        arrivals=arrivals,
        search=search,
        duration_s=None,
        stop_timeout_s=stop_timeout,
        processes=processes,
        slos=objectives,
        budget_tokens=budget_tokens,
        journal=run_journal.path(),
        out=out or Path("astrometer-results") / f"{locustfile.stem}-capacity-{stamp}",
        web_port=web_port if web else None,
        extra=locust_args,
    )
    if dry_run:
        locust_run.show(plan)
        return
    most = None if search.is_rate else round(search.maximum)
    warning = calibration_limit.before(most, processes, locust_args)
    locust_run.go(
        plan, warning=warning and f"should the search get there: {warning}", yes=yes, no_check=no_check
    )


def _search(
    model: str | None, start: float | None, maximum: float | None, *, step_s: float, settle_s: float | None,
    precision: float, repeats: int,
) -> SearchSettings:  # fmt: skip
    """Raises SearchError."""
    rates = {load < 0 for load in (start, maximum) if load is not None}
    if len(rates) > 1 or (model is not None and rates and rates != {model == "open"}):
        raise SearchError(
            "users (10) belong to the closed model, rates (5/s) to the open one: --model, --start and --max "
            "must agree"
        )
    is_rate = model == "open" or rates == {True}
    first = abs(start) if start is not None else 1.0
    if maximum is not None:
        most = abs(maximum)
    else:
        most = first * MAX_RATE_FACTOR if is_rate else float(max(MAX_USERS, first))
    return SearchSettings(
        start=min(first, most) if start is None else first,
        maximum=most,
        is_rate=is_rate,
        step_s=step_s,
        settle_s=step_s / 5 if settle_s is None else settle_s,
        precision=precision,
        repeats=repeats,
    )
