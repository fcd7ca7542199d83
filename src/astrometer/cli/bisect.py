"""`astrometer bisect`: which AstrBot broke it, or mended it? A release test of each against the good one."""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from astrometer import exit_codes
from astrometer.cli.shared.block_options import NO_TOKENS, block_options, plan_of
from astrometer.cli.shared.comparing import files_of
from astrometer.cli.shared.option_types import yes_option
from astrometer.cli.shared.run_options import RunCommand
from astrometer.cli.shared.terminal import print_problem, print_rich
from astrometer.line_fold import folded
from astrometer.output_files import json_text, write_all, write_somewhere
from astrometer.report import formatting

if TYPE_CHECKING:
    from astrometer.compare.output.compare_view import Page
    from astrometer.release.bisect_answer import BisectAnswer
    from astrometer.release.bisect_session import BisectSession
    from astrometer.release.revisions import RevisionRange


@click.command(cls=RunCommand, short_help="Find the release or commit that made it worse, or better.")
@click.option(
    "--good", required=True, metavar="VERSION|REF", help="The version that all others are compared with."
)
@click.option(
    "--bad", required=True, metavar="VERSION|REF",
    help="A version with the problem: a condition of --fail-if is true. May be older than --good.",
)  # fmt: skip
@click.option(
    "--checkout", type=click.Path(path_type=Path, file_okay=False, exists=True), metavar="DIRECTORY",
    help="Search the commits of this git checkout of AstrBot, not the releases of the package index.",
)  # fmt: skip
@block_options(
    "5m", "Longest time of measuring in each step. A step ends sooner when every condition is decided.",
    "Required: what makes a version bad. Repeatable.",
)  # fmt: skip
@yes_option("Do not ask before installing and measuring.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False),
    help="Directory, new or empty. [astrometer-results/bisect-TIME]",
)  # fmt: skip
@click.pass_context
def command(
    ctx: click.Context, /, *, good: str, bad: str, checkout: Path | None, yes: bool, **asked: Any
) -> None:
    """Find the AstrBot version or commit that made a condition of --fail-if come true, by bisection.

    Each step compares one version with the good one, as `astrometer release` does. Both ends come first: the
    good version is compared with itself, then the bad one with it. A version that cannot be installed, does
    not start, or stays undecided with twice the budget is skipped; the answer may then be a range. If --bad
    is older than --good, it finds what fixed the problem.

    Exit codes: 0 found; 2 usage, or the bad version is not bad; 3 undecided, or only a range; 4 one of the
    two ends could not be installed or started; 130 interrupted (what is known so far is printed).
    """
    from astrometer.compare.gates import ANY
    from astrometer.release.bisect_answer import answer_of
    from astrometer.release.bisect_session import BisectSession
    from astrometer.release.commits import CommitError

    if not asked["gates"]:
        raise click.UsageError(f"--fail-if is needed: what makes a version bad? ('{ANY}' takes longest)")
    if good == bad:
        raise click.UsageError(f"--good and --bad are both {good}")
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("nobody can be asked here (no terminal): add --yes")
    plan = plan_of(ctx, {}, **asked)
    try:
        with _range(good, bad, checkout) as found:
            session = BisectSession(plan, found, _say, _keep)
            _agree(session, yes=yes)
            ended_by = _run(session)
            answer = answer_of(session)
            _conclude(session, answer, _links(session, answer, checkout))
    except CommitError as exc:
        raise click.UsageError(f"--checkout {exc}") from exc
    raise SystemExit(ended_by or (exit_codes.PASS if answer.is_found else exit_codes.INVALID))


def _range(good: str, bad: str, checkout: Path | None) -> "AbstractContextManager[RevisionRange]":
    """What is searched. Raises click.UsageError; leaves with 4 where the package index does not help."""
    from astrometer.release import revisions
    from astrometer.targets.sandbox.find_python import NoPythonError
    from astrometer.targets.sandbox.install import InstallError

    if checkout is not None:
        return revisions.commits(checkout, good, bad)
    try:
        return nullcontext(revisions.releases(good, bad, _say))
    except (InstallError, NoPythonError) as exc:
        _say(f"Error: {exc}")
        raise SystemExit(exit_codes.UNREACHABLE) from exc


def _agree(session: "BisectSession", *, yes: bool) -> None:
    """Say what will happen, and ask. Raises click.Abort."""
    count, plan = len(session.range.revisions), session.plan
    steps = 2 + (count - 2).bit_length()
    _say(
        f"{session.range.revisions[0].name} (good) to {session.range.revisions[-1].name} (bad): "
        f"{formatting.plural(count - 2, 'revision')} between them. At most {steps} steps: both ends, then "
        f"half of the rest each time. A step measures for {formatting.duration(plan.budget_s)} at most: "
        f"{formatting.duration(steps * plan.budget_s)} in all."
    )
    _say(
        "Installing and starting come on top. So does a second test of what cannot be told, with twice the "
        "budget, and one more step for each revision that is skipped."
    )
    _say(NO_TOKENS)
    _say(f"Results: {plan.out}")
    if not yes:
        click.confirm("Continue?", abort=True, err=True)


def _run(session: "BisectSession") -> int | None:
    """Make all steps; the exit code of what ended them before their time."""
    from astrometer.release.bisect_session import OpenEndError, WrongEndError
    from astrometer.release.commits import CommitError
    from astrometer.release.session import SIDE_FAULTS, Interrupted, ReleaseError

    try:
        session.execute()
    except (KeyboardInterrupt, Interrupted):
        _say("Interrupted: the sandboxes are gone.")
        return exit_codes.INTERRUPTED
    except WrongEndError as exc:
        _say(f"Error: {exc}")
        return exit_codes.USAGE
    except (OpenEndError, ReleaseError) as exc:
        _say(f"Error: {exc}")
        return exit_codes.INVALID
    except (CommitError, *SIDE_FAULTS) as exc:
        _say(f"Error: {exc}")
        return exit_codes.UNREACHABLE
    return None


def _conclude(session: "BisectSession", answer: "BisectAnswer", links: Sequence[str]) -> None:
    from astrometer.release import bisect_answer

    click.echo()
    if session.steps:
        print_rich(bisect_answer.steps_table(session))
        click.echo()
    click.echo(answer.sentence())
    for link in links:
        click.echo(link)
    texts = {bisect_answer.FILE_NAME: json_text(bisect_answer.to_json(session, answer, links))}
    place = write_somewhere(session.plan.out, lambda folder: write_all(folder, texts), print_problem)
    if place is not None:
        click.echo(f"{place / bisect_answer.FILE_NAME}; the reports of each step are beside it")


def _links(session: "BisectSession", answer: "BisectAnswer", checkout: Path | None) -> list[str]:
    from astrometer.release.bisect_answer import release_links

    if not answer.is_tested:
        return []
    if checkout is not None:
        return [f"git -C {checkout} log -p {answer.older}..{answer.newer}"]
    known = [session.installed[place] for place in sorted(session.installed)]
    return release_links(known[-1], answer.older, answer.newer) if known else []


def _keep(page: "Page", directory: Path) -> None:
    write_somewhere(directory, lambda folder: write_all(folder, files_of(page)), print_problem)


def _say(text: str) -> None:
    for line in text.splitlines():
        click.echo(folded(line, sys.stderr), err=True)
