"""What every command that makes a Locust run shares: from its options to a plan, and on to an exit code."""

import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

import click

from astrometer import bundled, exit_codes
from astrometer.cli.shared.run_options import given_of_run
from astrometer.cli.shared.server_options import warn_of_unverified
from astrometer.cli.shared.terminal import print_problem, print_rich
from astrometer.cli.shared.without_effect import refuse, typed
from astrometer.config.settings import ENVIRONMENT, Target
from astrometer.config.target_access import messenger_token
from astrometer.im.link.link_address import LinkAddress
from astrometer.load.estimate import is_loopback
from astrometer.load.launch import MESSENGER_TOKEN, LoadPlan, UserLevel
from astrometer.load.options import OF_TARGET, OPTIONS, ChatTransport, Settings
from astrometer.load.run import run_journal
from astrometer.measure.results import document
from astrometer.measure.slo.found_warm_up import shortest_run_s
from astrometer.measure.slo.run_verdict import exit_code
from astrometer.output_files import try_place
from astrometer.report import write_reports
from astrometer.targets.sandbox.sandbox_state import server_pid_of
from astrometer.units import plain_number

if TYPE_CHECKING:
    from astrometer.load.inspect_locustfile import Inspection

OF_OPEN_MODEL = ("arrivals", "arrival_seed", "max_in_flight")
OF_STREAMS = ("whole_answer_percent", "idle_timeout_s", "stop_abandoned")
_BY_URL = ("--host", ENVIRONMENT)  # sources of a configuration without a file


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What `load` or `capacity` was asked for. `flags`: of `locust_options`."""

    locustfile: Path
    target: Target
    given: Mapping[str, Any]  # by the names of `Settings`' fields
    settings: Settings
    extra: Sequence[str]  # for Locust
    flags: Mapping[str, Any]
    typed: Mapping[str, str]  # flags, by their names

    @classmethod
    def of(
        cls, ctx: click.Context, scenario: str, locust_args: tuple[str, ...], flags: Mapping[str, Any],
        **always: Any,
    ) -> "Asked":  # fmt: skip
        """`always`: what the command itself says of the run. Raises click.UsageError."""
        given, extra = given_of_run(ctx, locust_args)
        locustfile = bundled.find("locustfiles", scenario)
        own = {name: given.pop(name) for name in OF_TARGET if name in given}  # before and behind --
        config = replace(flags["server"], own=own).config()
        if (objectives := [item.text for item in config.objectives]) and not _is_waived(given):
            given["slo"] = [*objectives, *given.get("slo", [])]
        given |= always
        target = config.target()
        if config.source not in _BY_URL:
            _forget_exported(ctx, given, "messenger")  # another server's: this one's is in the config
        asked = cls(
            locustfile=locustfile,
            target=target,
            given=given,
            settings=Settings.given(given),
            extra=extra,
            flags=flags,
            typed=typed(ctx),
        )
        asked._refuse_what_does_nothing()
        return asked

    def _refuse_what_does_nothing(self) -> None:
        """Raises click.UsageError."""
        if not self.flags["web"]:
            refuse(self.typed, ("web_port", "allowed_hosts"), "needs --web")
        if self.flags["dry_run"]:
            refuse(self.typed, ["deletable"], "cannot be combined with --dry-run: it asks the server")
        if self.flags["deletable"]:
            refuse(self.typed, ["username"], "cannot be combined with --deletable")
        if self.settings.transport is ChatTransport.MESSENGER:
            why = "cannot be combined with --transport messenger: nothing is streamed there"
            refuse(self.typed, OF_STREAMS, why)
        if not self.settings.messenger and self.target.messenger is None:
            refuse(self.typed, ["reply_quiet_s"], "needs --messenger")

    def must_be_open(self, *, is_open: bool) -> None:
        """Raises click.UsageError."""
        must_be_open(self.typed, "--rate 5/s, or one in --shape, --start or --max", is_open=is_open)

    def plan(self, level: UserLevel, *, duration_s: float | None, ramp_s: float, directory: str) -> LoadPlan:
        """`ramp_s`: not measured, besides the warm-up. Raises click.UsageError."""
        given = dict(self.given)
        if "server_pid" not in given and (pid := _sandboxed(self.target.url)) is not None:
            given["server_pid"] = str(pid)
        Settings.given(given).check_server_known()
        excluded_s = measured_from(self.settings.warmup_s, ramp_s, duration_s)
        shortest_s = shortest_run_s(excluded_s)
        if self.settings.warmup.is_found and duration_s and duration_s < shortest_s:
            raise click.UsageError(f"--warmup auto needs a run of {shortest_s:g} s or more, ramp-up included")
        if excluded_s:
            auto = "auto:" if self.settings.warmup.is_found else ""
            given["warmup"] = f"{auto}{plain_number(excluded_s)}s"
        given = {**level.given(), **given}
        stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
        name = directory.format(stem=self.locustfile.stem, time=stamp)
        return LoadPlan(
            locustfile=self.locustfile,
            target=self.target,
            users=level.users,
            spawn_rate=level.spawn_rate,
            duration_s=duration_s,
            stop_timeout_s=self.flags["stop_timeout"],
            processes=self.flags["processes"],
            out=self.flags["out"] or Path("astrometer-results") / name,
            web_port=self.flags["web_port"] if self.flags["web"] else None,
            given=given,
            extra=self.extra,
        )

    def go(self, plan: LoadPlan) -> NoReturn:
        """Print the plan, or check, ask, run and report it."""
        if self.flags["dry_run"]:
            click.echo(f"{plan.shell()}\n# with the API key in ASTRBOT_API_KEY{_and_token(plan)}")
            raise SystemExit(exit_codes.PASS)
        run(plan.with_given(journal=str(run_journal.path())), self.flags)


def _sandboxed(url: str) -> int | None:
    """The process of the server, if a sandbox of this machine is at that address."""
    return server_pid_of(urlsplit(url).port) if is_loopback(url) else None


def must_be_open(given: Mapping[str, str], rates: str, *, is_open: bool) -> None:
    """`given`: what was typed. Raises click.UsageError."""
    if not is_open:
        refuse(given, OF_OPEN_MODEL, f"needs a rate: {rates}")


def measured_from(warmup_s: float, ramp_s: float, duration_s: float | None) -> float:
    """Seconds from the start that are not measured. Raises click.UsageError when nothing would be."""
    excluded_s = ramp_s + warmup_s
    if duration_s and excluded_s >= duration_s:
        raise click.UsageError(
            f"ramp-up and warm-up take {excluded_s:g} s of a run of {duration_s:g} s: "
            "nothing would be measured"
        )
    return excluded_s


def run(plan: LoadPlan, flags: Mapping[str, Any]) -> NoReturn:
    """Check what can be checked, ask where one must, run, report, exit by the verdict."""
    from astrometer.cli.shared import confirm
    from astrometer.load import launch

    inspected = look_ahead(plan, flags)
    check_target(plan.target, flags)
    for note in inspected.notes:
        click.echo(f"Warning: {note}", err=True)
    plan, facts = confirm.look_at_server(plan, deletable=flags["deletable"])
    if inspected.leaves_conversations:
        check_adapters(plan, facts.version, flags, pushes=inspected.pushes)
    confirm.confirm(plan, facts, inspected, yes=flags["yes"])
    if plan.web_port is not None:
        click.echo(f"Web UI: http://127.0.0.1:{plan.web_port}", err=True)
    # What an earlier run left in the directory must not pass for this one's results.
    for stale in (document.FILE_NAME, *write_reports.FILE_NAMES):
        (plan.out / stale).unlink(missing_ok=True)
    piped_results: list[bytes] = []
    locust_exit_code = launch.run(plan, os.environ, on_results=piped_results.append)
    measured = _measured(plan.out, b"".join(piped_results))
    code = conclude(measured, plan.out, locust_exit_code, with_results=any(piped_results))
    if inspected.asks_model:
        sessions = None if measured is None else measured["names"]["sessions"]
        confirm.say_what_is_left(plan, facts, inspected, sessions)
    raise SystemExit(code)


def look_ahead(plan: LoadPlan, flags: Mapping[str, Any]) -> "Inspection":
    """What can be known before the server is asked anything. Raises click.UsageError."""
    from astrometer.cli.shared import confirm
    from astrometer.load import inspect_locustfile

    url = plan.target.url
    try_place(plan.out, "--out")
    confirm.must_be_able_to_ask(url, yes=flags["yes"])
    warn_of_unverified([plan.target])
    inspected = inspect_locustfile.inspect(plan, os.environ)
    if inspected.needs_key and not plan.keys():
        raise click.UsageError(
            f"no API key for {url}: set ASTRBOT_API_KEY or ASTRBOT_API_KEY_FILE, "
            "or name keys in the configuration"
        )
    return inspected


def check_target(target: Target, flags: Mapping[str, Any]) -> None:
    """Whether it answers, and takes the key. Raises click.UsageError, SystemExit."""
    from astrometer.probing.target_checks import preflight

    try:
        preflight.check_reachable(target)
        if not flags["no_check"]:
            preflight.check_key(target)
    except preflight.KeyRefused as exc:
        raise click.UsageError(f"{exc}; --no-check skips this check") from exc
    except (preflight.Unreachable, preflight.NotAstrBot) as exc:
        click.echo(f"Error: {exc}", err=True)
        raise SystemExit(exit_codes.UNREACHABLE) from exc


def _forget_exported(ctx: click.Context, given: dict[str, Any], name: str) -> None:
    """An option that only an environment variable gave; behind -- it may have been given, too."""
    exported = ctx.get_parameter_source(name) is click.core.ParameterSource.ENVIRONMENT
    if exported and given.get(name) == ctx.params[name]:
        del given[name]


def _and_token(plan: LoadPlan) -> str:
    has_messenger = bool(plan.settings.messenger)
    return f", and the messenger's token in {MESSENGER_TOKEN}" if has_messenger else ""


def check_adapters(plan: LoadPlan, version: str | None, flags: Mapping[str, Any], *, pushes: bool) -> None:
    """Whether its adapters carry this run, and let it in. Raises click.UsageError, SystemExit."""
    _check_sharing(plan, version, pushes=pushes)
    if not flags["no_check"]:
        _check_tokens(plan)


def _check_sharing(plan: LoadPlan, version: str | None, *, pushes: bool) -> None:
    """Of several load processes. Raises click.UsageError where AstrBot would lose each answer."""
    from astrometer.load.messenger import adapter_sharing

    several = adapter_sharing.answers_several(version)
    umos = plan.settings.umos if pushes else ()
    note = adapter_sharing.check(plan.settings.messenger, plan.processes or 1, several=several, umos=umos)
    if note is not None:
        click.echo(f"Warning: {note}", err=True)


def _check_tokens(plan: LoadPlan) -> None:
    """Or every question of the run would end as `lost_link`. Raises click.UsageError."""
    from astrometer.probing.target_checks import preflight

    token = messenger_token(plan.environment(os.environ)).reveal()
    for url in dict.fromkeys(plan.settings.messenger):
        try:
            preflight.check_adapter(LinkAddress.parse(url, self_id=1, token=token), plan.settings.tls)
        except preflight.MessengerRefused as exc:
            raise click.UsageError(f"{exc}; --no-check skips this check") from exc
        except preflight.Unreachable as exc:
            click.echo(f"Error: {exc}", err=True)
            raise SystemExit(exit_codes.UNREACHABLE) from exc


def _is_waived(given: Mapping[str, Any]) -> bool:
    return "slo" in given and bool(OPTIONS["slo"].value_of(given["slo"]).waived)


def _measured(out: Path, piped_results: bytes) -> dict[str, Any] | None:
    """The results; None: there are none."""
    try:
        return document.read_of_run(out, piped_results)
    except document.ResultsError:
        return None


def conclude(
    measured: Mapping[str, Any] | None, out: Path, locust_exit_code: int, *, with_results: bool
) -> int:
    """Show and keep the results; the exit code."""
    from astrometer.report.table import render

    if measured is None:
        return _without_results(out, locust_exit_code)
    print_rich(render(measured))
    if written := write_reports.keep(measured, out, print_problem, with_results=with_results):
        print_rich("\n".join(map(str, written)))
    return exit_code(measured)


def _without_results(out: Path, locust_exit_code: int) -> int:
    if locust_exit_code == -signal.SIGTERM:  # sent on before Locust listened to it
        click.echo("Interrupted before the run began", err=True)
        return exit_codes.INTERRUPTED
    log = out / "locust.log"
    # 2 is a refused argument, but Locust also says 2 after an exception somewhere in a run.
    crashed = log.is_file() and "Traceback" in log.read_text("utf-8", "replace")
    usage = locust_exit_code == exit_codes.USAGE and not crashed
    hint = "" if usage else f"; see {log}"
    click.echo(f"Error: Locust ended with exit code {locust_exit_code} and without results{hint}", err=True)
    return exit_codes.USAGE if usage else exit_codes.INVALID
