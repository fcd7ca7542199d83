"""A release plan -> two sandboxes, and load on one of them at a time, until every condition is decided.

Both servers run from the start; each pair of blocks loads one and then the other. Later changes to a checkout
do not matter: both sides are installed before the test.
"""

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from astrometer.compare.comparable import ComparedRun, is_thin
from astrometer.config import target_access
from astrometer.load import launch
from astrometer.measure.results import document
from astrometer.release.block_sequence import BlockSequence
from astrometer.release.earlier_blocks import NONE, EarlierBlocks, EarlierError
from astrometer.release.fitting_load import BUSY, WARM_UP_PER_S, fitting_rate
from astrometer.release.release_plan import ReleasePlan, Role, order
from astrometer.release.sides import InstalledSide, Say
from astrometer.report import write_reports
from astrometer.targets.messenger.messenger_profile import MessengerProfile
from astrometer.targets.sandbox.box import STARTING_FAILED, Box, SandboxOptions, sandbox
from astrometer.targets.sandbox.index_versions import latest_version
from astrometer.targets.sandbox.install import Installation, install
from astrometer.targets.sandbox.plugin_libraries import with_libraries

MOST_INVALID = 3  # pairs in a row: the next one would be INVALID as well


class ReleaseError(Exception):
    """A block that gave no results; the text says where to look."""


class ServerGone(Exception):
    """A server or its model ended by itself; the text has the end of its log."""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM while a load ran; it has ended in order."""


# What a side fails by: it cannot be installed, does not start, or ends. `ReleaseSession.at` says which side.
SIDE_FAULTS = (ServerGone, *STARTING_FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What is done to the machine; a test brings means without servers."""

    latest_version: Callable[[Say], str] = latest_version
    install: Callable[[str, Say], Installation] = install
    with_libraries: Callable[[Installation, Sequence[Path], Say], Installation] = with_libraries
    sandbox: Callable[[SandboxOptions, Say], AbstractContextManager[Box]] = sandbox
    load: Callable[..., int] = launch.run
    now: Callable[[], float] = time.monotonic


@dataclass(slots=True)
class ReleaseSession:
    """A release test. `blocks`: what was measured so far, whatever ends the session.

    `at`: the side that was installed, started or loaded last. `earlier`: blocks of the test that this one
    continues.
    """

    plan: ReleasePlan
    say: Say
    means: Means = Means()
    at: Role = Role.BASELINE
    earlier: EarlierBlocks = NONE
    blocks: BlockSequence = field(init=False)

    def __post_init__(self) -> None:
        self.blocks = BlockSequence(self.plan, self.earlier)

    def prepare(self) -> dict[Role, InstalledSide]:
        """Install both before anything runs. Raises InstallError, NoPythonError, EarlierError."""
        sides = {}
        # A path that leads nowhere is told before minutes of installing the other one.
        for role, spec in sorted(self.plan.specs.items(), key=lambda item: not item[1].is_local):
            self.at = role
            wanted = self.means.latest_version(self.say) if spec.astrbot == "latest" else spec.astrbot
            installation = self.means.install(wanted, self.say)
            installation = self.means.with_libraries(installation, spec.requirements, self.say)
            sides[role] = InstalledSide(spec=spec, installation=installation)
            self.say(f"{role}: AstrBot {sides[role].label}")
        for role, run in (item for pair in self.earlier.pairs for item in pair.items()):
            if (measured := run.results["target"]["version"]) != sides[role].label:
                raise EarlierError(f"{run.name} in {self.plan.out} is of {measured}, not {sides[role].label}")
        return sides

    def execute(self, sides: Mapping[Role, InstalledSide]) -> None:
        """Measure pairs of blocks until all is decided or the budget is spent.

        Raises ReleaseError, ServerGone, Interrupted, and what `sandbox` raises.
        """
        with ExitStack() as servers:
            boxes = {}
            for role in (Role.BASELINE, Role.CANDIDATE):
                self.at = role
                boxes[role] = servers.enter_context(self.means.sandbox(self._options(sides[role]), self.say))
            self._warm_up(sides, boxes)
            began_s, number, invalid = self.means.now(), self.earlier.last, 0
            while self.blocks.goes_on(self.means.now() - began_s) and invalid < MOST_INVALID:
                number += 1
                measured = self._measure_pair(number, sides, boxes)
                if any(
                    run.results["verdict"] == "INVALID" and not is_thin(run.results)
                    for run in measured.values()
                ):
                    invalid += 1
                    self._say_invalid(number, measured)
                    self._set_aside(number)
                else:
                    invalid = 0
                    self.blocks.add(measured)
                self.blocks.timed(self.means.now() - began_s)
                if not invalid:
                    self.say(self.blocks.look())
            self.blocks.ended(is_invalid=invalid == MOST_INVALID)

    def _options(self, side: InstalledSide) -> SandboxOptions:
        return SandboxOptions(
            installation=side.installation,
            model=self.plan.model,
            im_sink=self.plan.im_sink,
            messenger=MessengerProfile() if self.plan.messenger else None,
            plugins=side.spec.plugins,
            config_patch=side.spec.config_patch,
            start_timeout_s=self.plan.start_timeout_s,
        )

    def _warm_up(self, sides: Mapping[Role, InstalledSide], boxes: Mapping[Role, Box]) -> None:
        """A block of each that does not count: a fresh AstrBot is slower at first."""
        measured = []
        for role, box in boxes.items():
            directory = self.plan.warm_up_directory(role)
            shutil.rmtree(directory, ignore_errors=True)  # of a test that is continued
            measured.append(self._load(role, sides[role], box, directory))
        if not self.plan.fits_rate:
            return
        if (rate := self.earlier.rate_per_s) is not None:
            why = "as before"
        elif (rate := fitting_rate(measured)) is not None:
            why = f"so that the slower server is busy for {BUSY:.0%} of the time"
        else:
            rate, why = WARM_UP_PER_S, "since the CPU of the servers is not known"
        self.plan = self.blocks.plan = self.plan.fitted(rate, self.earlier.block_s)
        self.say(f"load: {rate:g} arrivals per second, {why}; blocks of {self.plan.block_s:g} s")

    def _measure_pair(
        self, number: int, sides: Mapping[Role, InstalledSide], boxes: Mapping[Role, Box]
    ) -> dict[Role, ComparedRun]:
        measured = {}
        try:
            for role in order(number):
                directory = self.plan.directory(role, number)
                results = self._load(role, sides[role], boxes[role], directory, number)
                measured[role] = ComparedRun(name=f"{role} {number}", results=results)
        except BaseException:
            self._set_aside(number)
            raise
        return measured

    def _say_invalid(self, number: int, measured: Mapping[Role, ComparedRun]) -> None:
        for role, run in measured.items():
            causes = "; ".join(cause["sentence"] for cause in run.results["causes"])
            if run.results["verdict"] == "INVALID":
                self.say(f"pair {number} does not count: the block of the {role} is INVALID: {causes}")

    def _set_aside(self, number: int) -> None:
        """Keep the blocks of a pair that does not count where `compare` does not find them."""
        for role in Role:
            block, kept = self.plan.directory(role, number), self.plan.invalid_directory(role, number)
            if (block / document.FILE_NAME).exists():
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(block, kept)

    def _load(
        self, role: Role, side: InstalledSide, box: Box, directory: Path, number: int = 0
    ) -> dict[str, Any]:
        """The results of a block; 0 is the warm-up. Raises ReleaseError, ServerGone, Interrupted.

        Both blocks of a pair have the same arrivals, which differ from pair to pair.
        """
        self.at = role
        signals, piped_results = list[bool](), list[bytes]()
        load = replace(
            self.plan.load,
            target=target_access.target_from_options(box.url, _access(box)),
            out=directory,
        )
        load = load.with_given(version=side.label, kind="astrbot", server_pid=str(box.pid))
        load = load.with_given(arrival_seed=str(load.settings.arrival_seed + number))
        if box.sink_url is not None:
            load = load.with_given(im_sink=box.sink_url)
        code = self.means.load(
            load, os.environ, interrupted=lambda: signals.append(True), on_results=piped_results.append
        )
        if signals:
            raise Interrupted
        if fault := box.fault():
            when = f"in block {number}" if number else "while it warmed up"
            raise ServerGone(f"{when}: {fault}")
        try:
            return write_reports.read_and_keep(directory, b"".join(piped_results), self.say)
        except document.ResultsError as exc:
            log = directory / "locust.log"
            raise ReleaseError(f"Locust ended with exit code {code}; see {log}") from exc


def _access(box: Box) -> dict[str, str]:
    """What a shell would export to reach it."""
    variables = {"ASTRBOT_API_KEY": box.keys["all"]}
    if box.messenger is not None:
        variables["ASTRBOT_MESSENGER_URL"] = box.messenger.url
        variables["ASTRBOT_MESSENGER_TOKEN"] = box.messenger.token
    return variables
