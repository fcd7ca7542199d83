"""`astrometer release`: is this AstrBot as good as that one? One exit code, one directory."""

import signal
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from astrometer import exit_codes
from astrometer.cli.shared.block_options import NO_TOKENS, block_options, plan_of
from astrometer.cli.shared.comparing import ACCEPT_OPTION, exit_code, files_of, print_and_write
from astrometer.cli.shared.run_options import RunCommand
from astrometer.cli.shared.terminal import print_rich, say

if TYPE_CHECKING:
    from astrometer.release.session import ReleaseSession
    from astrometer.targets.sandbox.astrbot_plugin import AstrBotPlugin
    from astrometer.targets.sandbox.config_patch import ConfigPatch


def _plugins_of(
    _ctx: click.Context, _param: click.Parameter, folders: Sequence[Path]
) -> "list[AstrBotPlugin]":
    from astrometer.targets.sandbox.astrbot_plugin import PluginError, read_plugin, refuse_twins

    try:
        plugins = [read_plugin(folder) for folder in folders]
        refuse_twins(plugins)
    except PluginError as exc:
        raise click.BadParameter(str(exc)) from exc
    return plugins


def _config_patch_of(_ctx: click.Context, _param: click.Parameter, file: Path | None) -> "ConfigPatch | None":
    from astrometer.targets.sandbox.config_patch import ConfigPatchError, read_config_patch

    try:
        return None if file is None else read_config_patch(file)
    except ConfigPatchError as exc:
        raise click.BadParameter(str(exc)) from exc


@click.command(cls=RunCommand, short_help="Test a release: a candidate against a baseline, in sandboxes.")
@click.option(
    "--astrbot", "candidate", default="latest", show_default=True, metavar="VERSION|PATH",
    help="The CANDIDATE, which is judged: a version, latest, a wheel or a checkout.",
)  # fmt: skip
@click.option(
    "--against", "baseline", metavar="VERSION|PATH",
    help="The BASELINE, which it is compared with. [with --plugin or --config-patch: as --astrbot]",
)  # fmt: skip
@click.option(
    "--plugin", "plugins", type=click.Path(path_type=Path), multiple=True, metavar="DIR",
    callback=_plugins_of, help="An AstrBot plugin that only the candidate has. Repeatable.",
)  # fmt: skip
@click.option(
    "--config-patch", type=click.Path(path_type=Path), metavar="FILE", callback=_config_patch_of,
    help="JSON that is merged into the configuration of the candidate only (cmd_config.json).",
)  # fmt: skip
@block_options(
    "10m",
    "Longest time of measuring. The test ends sooner when every condition is decided.",
    "Repeatable. [any worse]",
)
@ACCEPT_OPTION
@click.option(
    "--more", is_flag=True,
    help="Continue the undecided test in --out: its pairs count, and --budget is for more of them.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False),
    help="Directory, new or empty. [astrometer-results/release-TIME]",
)  # fmt: skip
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    candidate: str,
    baseline: str | None,
    plugins: "list[AstrBotPlugin]",
    config_patch: "ConfigPatch | None",
    accept_undecided: bool,
    more: bool,
    **asked: Any,
) -> None:
    """Compare a candidate AstrBot with a baseline under the same load, and say whether it may be released.

    Both are installed and run side by side, each in a sandbox with a stub model of its own. The load
    alternates between them in blocks (baseline, candidate, candidate, baseline, ...). After each pair of
    blocks every condition is checked; the intervals allow for these repeated checks. The test ends when every
    condition is decided, or when the budget is spent. The directory holds every block, compare.html,
    compare.json, summary.md and junit.xml.

    Exit codes: 0 no objective was missed and no condition of --fail-if came true; 1 one did; 2 usage;
    3 undecided, or INVALID; 4 a server could not be installed or started, or died.
    """
    from astrometer.compare.output import compare_html, compare_junit, compare_table
    from astrometer.compare.sequence_state import SequenceEnd
    from astrometer.measure.results.document import ResultsError
    from astrometer.release.earlier_blocks import NONE, EarlierError, earlier_blocks
    from astrometer.release.release_page import judged
    from astrometer.release.release_plan import Role
    from astrometer.release.session import ReleaseSession
    from astrometer.release.sides import SideSpec

    if baseline is None and not plugins and config_patch is None:
        raise click.UsageError("--against is missing; only --plugin and --config-patch need none")
    specs = {
        Role.BASELINE: SideSpec(astrbot=baseline or candidate),
        Role.CANDIDATE: SideSpec(astrbot=candidate, plugins=plugins, config_patch=config_patch),
    }
    plan = plan_of(ctx, specs, more=more, **asked)
    try:
        earlier = earlier_blocks(plan) if more else NONE
    except (EarlierError, ResultsError) as exc:
        raise click.UsageError(f"--more: {exc}") from exc
    say(NO_TOKENS)
    session = ReleaseSession(plan, say, earlier=earlier)
    ended_by = _run(session)
    if not session.blocks.pairs:
        say("No pair of blocks was measured: nothing is known.")
        raise SystemExit(ended_by or exit_codes.INVALID)
    shown = judged(session.blocks)
    if session.blocks.end is SequenceEnd.INVALID:
        accept_undecided = False  # nothing was measured that could have spoken against it
    click.echo()
    junit = compare_junit.render_junit(shown, accept_undecided=accept_undecided)
    print_and_write(
        compare_table.render(shown),
        lambda: {**files_of(shown), compare_junit.FILE_NAME: junit},
        plan.out,
        compare_html.FILE_NAME,
    )
    print_rich(f"every block is in {plan.out}")
    raise SystemExit(ended_by or exit_code(shown.verdict, accept_undecided=accept_undecided))


def _run(session: "ReleaseSession") -> int | None:
    """Measure; the exit code of what ended it before its time. Whatever did, no server is left behind."""
    from astrometer.compare.sequence_state import SequenceEnd
    from astrometer.release.earlier_blocks import EarlierError
    from astrometer.release.session import SIDE_FAULTS, Interrupted, ReleaseError
    from astrometer.targets.sandbox.config_patch import ConfigPatchError

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup is obeyed
            signal.signal(number, _leave)
    try:
        session.execute(session.prepare())
    except EarlierError as exc:
        raise click.UsageError(f"--more: {exc}") from exc
    except (KeyboardInterrupt, Interrupted):
        say(f"Interrupted: the sandboxes are gone; what was measured is in {session.plan.out}")
        return exit_codes.INTERRUPTED
    except ReleaseError as exc:
        session.blocks.end = SequenceEnd.FAILED
        say(f"Error: {exc}")
        return exit_codes.INVALID
    except ConfigPatchError as exc:  # by the server's own keys, so not before it runs
        raise click.UsageError(f"--config-patch {exc}") from exc
    except SIDE_FAULTS as exc:
        session.blocks.end = SequenceEnd.FAILED
        say(f"Error: {session.at}: {exc}")
        return exit_codes.UNREACHABLE
    return None


def _leave(_number: int, _: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
