"""Options of a load test -> its scenarios and objectives, or Locust's complaint. Asks no target."""

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from astrometer.load.launch import LOCUST, LoadPlan
from astrometer.tethered import Tethered
from astrometer.user_error import UserError

# Behind everything else, where they win.
TIMEOUT_S = 60.0
MARK = '{"scenarios":'  # how the answer begins
OURS = "astrometer: "  # how a refusal of the plugin begins
_NO_RUN = ("--astrometer-check", "--processes", "0", "--loglevel", "ERROR", "--logfile", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What a run will have. `objectives`: the text of each -> its scenario, None: the whole run.

    `chats`: `--transport` decides how some of its users ask. `asks_model`: the share of users whose turns
    cost tokens; `notes`: what a person should know of its users. `leaves_sessions`: of chats;
    `leaves_conversations`: of people in a messenger. `pushes`: some send messages into one. `needs_key`: not
    all of them only write in a messenger. `workload_share`: of the users, who follow `--workload`.
    """

    scenarios: frozenset[str]
    objectives: Mapping[str, str | None]
    chats: bool = True
    asks_model: float = 1.0
    workload_share: float = 1.0
    leaves_sessions: bool = True
    leaves_conversations: bool = False
    needs_key: bool = True
    notes: Sequence[str] = ()
    pushes: bool = False


def inspect(plan: LoadPlan, environ: Mapping[str, str]) -> Inspection:
    """Have Locust read the plan's arguments and locustfile, in some two seconds. Raises UserError."""
    with tempfile.TemporaryDirectory() as scratch:
        asked = replace(plan, out=Path(scratch), extra=(*plan.extra, *_NO_RUN))
        try:
            out, err = _output(asked, environ)
        except subprocess.TimeoutExpired as exc:
            raise UserError(f"Locust has not read the locustfile after {TIMEOUT_S:g} s") from exc
    try:
        # A locustfile may print what it likes, before and after.
        told = next(json.loads(line) for line in out.splitlines() if line.startswith(MARK))
        told |= {"scenarios": frozenset(told["scenarios"]), "notes": tuple(told["notes"])}
        return Inspection(**told)
    except (StopIteration, LookupError, TypeError, ValueError) as exc:
        said = err.strip()[-2000:] or "it begins no run with them"
        if said.startswith(OURS):
            raise UserError(said.removeprefix(OURS)) from exc
        if (frames := _frames_of(plan.locustfile, err)) is not None:
            raise UserError(f"{plan.locustfile}: cannot be imported\n{frames}") from exc
        raise UserError(f"Locust refuses these arguments: {said}") from exc


def _frames_of(locustfile: Path, err: str) -> str | None:
    """The end of a traceback, from the first line in the locustfile on. None: it is not in it."""
    _, at, frames = err.partition(f'  File "{locustfile.absolute()}"')
    return f"{at}{frames.rstrip()[-2000:]}" if at else None


def _output(plan: LoadPlan, environ: Mapping[str, str]) -> tuple[str, str]:
    """Standard output and error. Raises subprocess.TimeoutExpired."""
    child = Tethered(
        LOCUST,
        plan.command(),
        env=plan.environment(environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with child:
        try:
            out, err = child.communicate(timeout=TIMEOUT_S)
        finally:
            child.kill_all()
    return out.decode("utf-8", "replace"), err.decode("utf-8", "replace")
