"""A release plan -> a sandbox and a load run for each turn, one after the other. Nothing else runs meanwhile.

Every run has a server of its own: the same empty database each time, and no idle one that takes CPU. All of
a side's are the one installation that was made at the start, whatever happens to the checkout meanwhile.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from astrometer.compare.comparable import ComparedRun
from astrometer.config import loader
from astrometer.load import launch
from astrometer.measure.results import document
from astrometer.measure.slo.validity import CauseKind
from astrometer.output_files import write_somewhere
from astrometer.release.release_plan import ReleasePlan, Role, Turn, order
from astrometer.report import write_reports
from astrometer.targets.sandbox.box import Box, SandboxOptions, sandbox
from astrometer.targets.sandbox.install import Installation, install, latest_version
from astrometer.targets.sandbox.local import is_local

Say = Callable[[str], None]


class ReleaseError(Exception):
    """A run that gave no results; the text says where to look."""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM while a load ran; it has ended in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What is done to the machine; a test brings means without servers."""

    latest_version: Callable[[Say], str] = latest_version
    install: Callable[[str, Say], Installation] = install
    sandbox: Callable[[SandboxOptions, Say], AbstractContextManager[Box]] = sandbox
    load: Callable[..., int] = launch.run


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledSide:
    """One of the two, installed."""

    label: str
    installation: Installation


@dataclass(frozen=True, slots=True)
class ReleaseSession:
    """A release test."""

    plan: ReleasePlan
    say: Say
    means: Means = Means()

    def prepare(self) -> dict[Role, InstalledSide]:
        """Install both before anything runs. Raises InstallError, NoPythonError."""
        sides = {}
        # A path that leads nowhere is told before minutes of installing the other one.
        for role, spec in sorted(self.plan.specs.items(), key=lambda item: not is_local(item[1])):
            wanted = self.means.latest_version(self.say) if spec == "latest" else spec
            installation = self.means.install(wanted, self.say)
            sides[role] = InstalledSide(label=_label(spec, installation.version), installation=installation)
            self.say(f"{role}: AstrBot {sides[role].label}")
        return sides

    def execute(self, sides: Mapping[Role, InstalledSide]) -> dict[Role, list[ComparedRun]]:
        """Make all runs. Raises ReleaseError, Interrupted, and what `sandbox` raises."""
        turns = order(self.plan.repeat)
        found: dict[Role, list[ComparedRun]] = {Role.BASELINE: [], Role.CANDIDATE: []}
        for place, turn in enumerate(turns, 1):
            side = sides[turn.role]
            self.say(f"run {place} of {len(turns)}: {turn.role} {turn.number}, AstrBot {side.label}")
            measured = self._measure_with_tries(turn, side)
            found[turn.role].append(ComparedRun(name=f"{turn.role} {turn.number}", results=measured))
        return found

    def _measure_with_tries(self, turn: Turn, side: InstalledSide) -> dict[str, Any]:
        directory = self.plan.directory(turn)
        for attempt in range(1, self.plan.tries + 1):
            measured = self._measure(side, directory)
            if measured["verdict"] != "INVALID":
                break
            causes = measured["causes"]
            self.say(f"INVALID: {'; '.join(cause['sentence'] for cause in causes)}")
            if all(cause["kind"] == CauseKind.TOO_FEW_SAMPLES for cause in causes):
                self.say("another run like it would have no more; longer ones have (--duration)")
                break
            if attempt < self.plan.tries:
                spoilt = self.plan.spoilt(turn, attempt)
                spoilt.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(directory, spoilt)
                self.say(f"once more; this one is kept in {spoilt}")
        return measured

    def _measure(self, side: InstalledSide, directory: Path) -> dict[str, Any]:
        plan, signals, told = self.plan, list[bool](), list[bytes]()
        options = SandboxOptions(installation=side.installation, model=plan.model, im_sink=plan.im_sink)
        with self.means.sandbox(options, self.say) as box:
            load = replace(
                plan.load,
                target=loader.target_from_options(box.url, {"ASTRBOT_API_KEY": box.keys["all"]}),
                out=directory,
            )
            load = load.with_given(version=side.label, kind="astrbot")
            if box.sink_url is not None:
                load = load.with_given(im_sink=box.sink_url)
            code = self.means.load(
                load, os.environ, interrupted=lambda: signals.append(True), told=told.append
            )
        if signals:
            raise Interrupted
        try:
            measured = document.read_told(b"".join(told)) if any(told) else document.read(directory)
        except document.ResultsError as exc:
            log = directory / "locust.log"
            raise ReleaseError(f"Locust ended with exit code {code}; see {log}") from exc

        def write(folder: Path) -> None:
            if any(told) or folder != directory:
                document.write(folder, measured)
            write_reports.write(measured, folder)

        write_somewhere(directory, write, self.say)
        return measured


def _label(spec: str, version: str) -> str:
    return f"{version} ({Path(spec).expanduser().absolute().name})" if is_local(spec) else version
