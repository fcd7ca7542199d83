"""A release plan -> a sandbox and a load run for each turn, one after the other. Nothing else runs meanwhile.

Every run has a server of its own: the same empty database each time, and no idle one that takes CPU.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from astrometer import config
from astrometer.load import launch
from astrometer.measure import results
from astrometer.measure.comparable import Run
from astrometer.releasing.plan import ReleasePlan, Role, Turn, order, with_extra
from astrometer.report import html, summary
from astrometer.targets.sandbox.box import SandboxOptions, sandbox
from astrometer.targets.sandbox.install import install, latest_version
from astrometer.targets.sandbox.local import is_local

Say = Callable[[str], None]


class ReleaseError(Exception):
    """A run that gave no results; the text says where to look."""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM while a load ran; it has ended in order."""


def prepare(plan: ReleasePlan, say: Say) -> ReleasePlan:
    """Install both before anything runs. Raises InstallError, NoPythonError."""
    specs = {}
    for role, spec in plan.specs.items():
        specs[role] = latest_version(say) if spec == "latest" else spec
        version = install(specs[role], say).version
        say(f"{role}: AstrBot {_label(specs[role], version)}")
    return replace(plan, specs=specs)


def execute(plan: ReleasePlan, say: Say) -> dict[Role, list[Run]]:
    """Make all runs. Raises ReleaseError, Interrupted, and what `sandbox` raises."""
    turns = order(plan.repeat)
    found: dict[Role, list[Run]] = {Role.BASELINE: [], Role.CANDIDATE: []}
    for place, turn in enumerate(turns, 1):
        say(f"run {place} of {len(turns)}: {turn.role} {turn.number}, AstrBot {plan.specs[turn.role]}")
        measured = _measure_with_tries(plan, turn, say)
        found[turn.role].append(Run(name=f"{turn.role} {turn.number}", results=measured))
    return found


def _measure_with_tries(plan: ReleasePlan, turn: Turn, say: Say) -> dict[str, Any]:
    directory = plan.directory(turn)
    for attempt in range(1, plan.tries + 1):
        measured = _measure(plan, turn, directory, say)
        causes = measured["causes"]
        if measured["verdict"] != "INVALID" or any("too few samples" in cause for cause in causes):
            break
        say(f"INVALID: {'; '.join(causes)}")
        if attempt < plan.tries:
            spoilt = plan.spoilt(turn, attempt)
            spoilt.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(directory, spoilt)
            say(f"once more; this one is kept in {spoilt}")
    return measured


def _measure(plan: ReleasePlan, turn: Turn, directory: Path, say: Say) -> dict[str, Any]:
    spec = plan.specs[turn.role]
    options = SandboxOptions(version=spec, model=plan.model, im_sink=plan.im_sink)
    signals: list[bool] = []
    with sandbox(options, say) as box:
        load = replace(
            plan.load,
            target=config.target_from_options(box.url, {"ASTRBOT_API_KEY": box.keys["all"]}),
            out=directory,
        )
        load = with_extra(load, "--target-version", _label(spec, box.version), "--target-kind", "astrbot")
        if box.sink_url is not None:
            load = with_extra(load, "--im-sink", box.sink_url)
        code = launch.run(load, os.environ, interrupted=lambda: signals.append(True))
    if signals:
        raise Interrupted
    try:
        measured = results.read(directory)
    except results.ResultsError as exc:
        raise ReleaseError(f"Locust ended with exit code {code}; see {directory / 'locust.log'}") from exc
    html.write_html(measured, directory / html.FILE_NAME)
    summary.write_summary(measured, directory / summary.FILE_NAME)
    return measured


def _label(spec: str, version: str) -> str:
    return f"{version} ({Path(spec).expanduser().absolute().name})" if is_local(spec) else version
