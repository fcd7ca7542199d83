"""Each fault has its own reason, and the first run after it passes: simulated, and on real AstrBot.

`ASTROMETER_FAULTS="4.18.0 4.25.6 4.26.8 latest"` plays the whole table on these versions of the real one;
without it only a few quick rows on the newest. `ASTROMETER_FAULTS_OUT` names a file for the results.
"""

import asyncio
import json
import os
import re
import time
from contextlib import ExitStack
from operator import attrgetter
from pathlib import Path

import pytest
from fault_stage import RealStage, SimulatedStage, play
from fault_table import FAULTS
from server_faults import BLOCKER
from waiting import async_until

from astrometer.probing.context import Context
from astrometer.probing.plan import Plan
from astrometer.probing.probe_files import Probe
from astrometer.probing.runner import Runner
from astrometer.probing.schedule import Schedule
from astrometer.probing.verdict import ProbeRun, Verdict
from astrometer.targets.sandbox.astrbot_plugin import read_plugin
from astrometer.targets.sandbox.box import SandboxOptions, sandbox
from astrometer.targets.script import ModelScript
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import SimulatorConfig

WHOLE = os.environ.get("ASTROMETER_FAULTS", "").replace(",", " ").split()
REAL = WHOLE or ["latest"]
NAME = attrgetter("name")


@pytest.fixture(scope="module", params=["4.18.0", "4.29.3"])
def simulated(request):
    simulator = Simulator(
        SimulatorConfig(version=request.param, model=ModelScript(ttft_s=0.02, gap_s=0.002, tokens=3))
    )
    stage = SimulatedStage(simulator)
    yield stage
    stage.close()


@pytest.mark.parametrize("fault", [row for row in FAULTS if row.simulated], ids=NAME)
def test_simulated(simulated, fault):
    played = play(simulated, fault)
    assert played.reasons == ("ok", fault.reason, "ok"), played.during.detail
    assert played.left == 0
    if simulated.simulator.wire.fastapi:
        assert list(simulated.simulator.store.sessions) == []


@pytest.mark.parametrize("fault", [row for row in FAULTS if row.simulated and row.message != "hi"], ids=NAME)
@pytest.mark.parametrize("simulated", ["4.29.3"], indirect=True)
def test_simulated_without_stamps(simulated, fault, user_clock):
    """Those that are seen by when something came, or did not."""
    test_simulated(simulated, fault)


def test_the_documented_table_is_this_one():
    text = (Path(__file__).parents[2] / "docs" / "reference" / "faults.md").read_text("utf-8")
    rows = re.findall(r"^\| ([^|`]+) \| `(\w+)` \|", text, re.MULTILINE)
    assert rows == [(row.name, row.reason) for row in FAULTS]


class Notes:
    """The schedule's book: each run with the time it began."""

    def __init__(self) -> None:
        self.runs: list[tuple[float, ProbeRun]] = []

    def finished(self, run: ProbeRun) -> None:
        self.runs.append((run.started_at, run))

    def skip(self, _plan: Plan, _cause: str) -> None:
        return


@pytest.mark.parametrize("act", ["expire", "stop"])
def test_recovery_is_seen_within_one_interval(simulated, act):
    """Around the clock: every run of the fault fails, and the first one begun after it passes."""

    async def ask(ctx: Context) -> Verdict:
        return Verdict.of(await ctx.chat(f"hi {ctx.nonce}", canary=ctx.nonce))

    async def go() -> tuple[list[tuple[float, ProbeRun]], float]:
        notes = Notes()
        probe = Probe(name="p", function=ask, interval_s=1.0, scopes=("chat",), costs_tokens=True, summary="")
        plan = Plan(target=simulated.target(), probe=probe, interval_s=1.0)
        schedule = Schedule(Runner(), [plan], notes)
        schedule.start()
        await async_until(lambda: any(run.ok for _, run in notes.runs))
        hurt = simulated.act(act)
        await asyncio.to_thread(hurt.__enter__)
        began = time.time()
        await async_until(lambda: sum(began < at for at, _ in notes.runs) >= 2)
        ended = time.time()
        await asyncio.to_thread(hurt.__exit__, None, None, None)
        over = time.time()
        await async_until(lambda: any(at > over for at, _ in notes.runs))
        await schedule.stop(finish_s=10, give_up_s=5)
        during = [run for at, run in notes.runs if began < at and at + run.duration_s < ended]
        assert during
        assert not any(run.ok for run in during)
        return notes.runs, over

    runs, over = asyncio.run(go())
    first_at, first = next((at, run) for at, run in runs if at > over)
    assert first.ok
    assert first_at - over < 1.0 + 2.0  # the interval; the rest is for a busy machine


@pytest.fixture(scope="module")
def stages(real_astrbot):
    """One sandbox a version; for the whole table one of its own, which may be killed and filled."""
    with ExitStack() as stack:
        found: dict[str, RealStage] = {}

        def stage(version: str) -> RealStage:
            if version not in found:
                if WHOLE:
                    options = SandboxOptions(version=version, plugins=[read_plugin(BLOCKER)])
                    found[version] = RealStage(stack.enter_context(sandbox(options)))
                else:
                    found[version] = RealStage(real_astrbot(version))
            return found[version]

        yield stage


@pytest.mark.process
@pytest.mark.astrbot
@pytest.mark.timeout(300)
@pytest.mark.parametrize("version", REAL)
@pytest.mark.parametrize("fault", [row for row in FAULTS if WHOLE or row.quick], ids=NAME)
def test_real(stages, version, fault):
    stage = stages(version)
    played = play(stage, fault)
    _note(stage, fault, played)
    assert played.reasons == ("ok", fault.reason, "ok"), played.during.detail
    assert played.left == 0


def _note(stage, fault, played) -> None:
    out = os.environ.get("ASTROMETER_FAULTS_OUT")
    if not out:
        return
    row = {
        "version": str(stage.box.version),
        "fault": fault.name,
        "expected": fault.reason,
        "reasons": played.reasons,
        "duration_s": round(played.during.duration_s, 2),
        "left": played.left,
        "note": played.during.note,
        "detail": played.during.detail,
    }
    with Path(out).open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")
