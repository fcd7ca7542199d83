"""Two exporters on one target, each with a state folder of its own, as docs/reference/probes.md says."""

import asyncio

import pytest

from astrometer import bundled
from astrometer.config.settings import Config
from astrometer.probing.budget import Ledger
from astrometer.probing.cleanup.leak_journal import LeakJournal
from astrometer.probing.exporter.exporter_app import Exporter
from astrometer.probing.plan import make_plans
from astrometer.probing.probe_files import load_folder
from astrometer.probing.runner import Runner

OURS = load_folder(bundled.folder("probes")).probes
NAMES = ("chat", "multi_turn", "upload")


@pytest.mark.parametrize("which", ["bench", "old_bench"])
def test_they_ask_at_the_same_time_and_neither_spoils_the_other_s_answers(which, request, tmp_path):
    bench = request.getfixturevalue(which)
    target = bench.target("all")
    config = Config(source="test", targets={"sim": target})
    plans = make_plans(config, {name: OURS[name] for name in NAMES})
    exporters = [
        Exporter(config, plans, Runner(ledger=Ledger(tmp_path / name), journal=LeakJournal(tmp_path / name)))
        for name in ("one", "two")
    ]

    async def watch(exporter: Exporter) -> list[str]:
        reasons = []
        for _ in range(2):
            for plan in plans:
                run = await exporter.runner.run(plan)
                exporter.finished(run)
                reasons.append(f"{run.probe} {run.reason} {run.detail}" if not run.ok else "ok")
        return reasons

    async def go() -> list[list[str]]:
        said = await asyncio.gather(*(watch(exporter) for exporter in exporters))
        await asyncio.gather(*(task for exporter in exporters for task in exporter.runner.tasks))
        for exporter in exporters:
            exporter.runner.journal.close()
        return said

    assert asyncio.run(go()) == [["ok"] * 6] * 2
    if which == "bench":
        assert bench.sessions() == []
    else:  # each exporter's fixed sessions, and no others
        assert len(bench.sessions()) <= 2 * len(NAMES) + 2
