"""A disk that hangs or cannot be used -> pages and scrapes that come all the same, and a word on the page."""

import asyncio
import sqlite3
import time

import httpx
import pytest
from layer_states import DOWN, WELL

from astrometer.config.settings import Config
from astrometer.probing.exporter.exporter_app import Exporter
from astrometer.probing.status import history_file
from astrometer.probing.status.history_file import FILE
from astrometer.probing.status.state_history import FLUSH_S, StateHistory


def answers(exporter: Exporter, *paths: str) -> tuple[list[str], float]:
    async def go() -> tuple[list[str], float]:
        transport = httpx.ASGITransport(exporter.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
            began = time.perf_counter()
            return [(await client.get(path)).text for path in paths], time.perf_counter() - began

    return asyncio.run(go())


@pytest.fixture
def exporter(bench):
    def made(folder) -> Exporter:
        target = bench.target("all", name="prod")
        plan = bench.plan(target, None, name="reads")
        clock = {"now": time.time()}

        def now() -> float:
            clock["now"] += FLUSH_S  # each look is another flush
            return clock["now"]

        records = StateHistory(folder, clock=now)
        return Exporter(Config(source="test", targets={"prod": target}), [plan], past=records, clock=now)

    return made


def test_a_disk_that_hangs_holds_up_no_page_no_scrape_and_no_run(exporter, tmp_path, monkeypatch):
    monkeypatch.setattr(history_file, "LATE_S", 0.0)
    made = exporter(tmp_path)
    assert made.past.flush()
    blocker = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")  # who writes waits 5 s for it
    for _ in range(20):
        made.past.note({"prod": WELL})
        made._refresh()
    (page, _, metrics), took_s = answers(made, "/", "/status", "/metrics")
    assert f"History: {FILE}: the disk does not answer; kept in memory until it can." in page
    assert "astrbot_probe_runs_total" in metrics
    assert took_s < 2.0
    blocker.execute("ROLLBACK")
    blocker.close()
    assert made.past.flush()
    (page,), _ = answers(made, "/")
    assert "History: " not in page
    made.past.close()


def test_a_folder_that_cannot_be_used_is_said_on_the_page(exporter, tmp_path):
    (tmp_path / "state").write_text("a file")
    (page,), _ = answers(exporter(tmp_path / "state"), "/")
    assert f"History: {FILE} cannot be used" in page
    assert "the history is kept in memory only." in page


def test_of_many_failures_the_page_shows_the_newest_and_says_of_how_many(exporter):
    made = exporter(None)
    for _ in range(12):
        made.past.note({"prod": DOWN})
        made.past.note({"prod": WELL})
    pages, _ = answers(made, "/", "/status")
    for page in pages:
        assert "Failures of 30 days: the newest 10 of\n12</summary>" in page
        assert page.count("<li>network: ") == 10
