"""24 simulated hours with one incident -> status page and report name it, to a probe interval."""

import asyncio
import re
import time
from types import MappingProxyType

import httpx
import pytest
from layer_states import DOWN, WELL, state_of

from astrometer.api.outcome import Outcome
from astrometer.config.secret import Secret
from astrometer.config.settings import Config, Key, Target
from astrometer.probing.exporter.exporter_app import Exporter
from astrometer.probing.plan import Plan
from astrometer.probing.probe_files import Probe
from astrometer.probing.status.sla import month_of
from astrometer.probing.status.sla_report import MonthReport
from astrometer.probing.status.state_history import StateHistory
from astrometer.probing.verdict import ProbeRun, Verdict

NOV_30 = 1_796_000_400.0 - 1_796_000_400.0 % 86400  # a midnight, UTC
MINUTE, HOUR = 60.0, 3600.0
WENT, CAME = NOV_30 + 9.5 * HOUR + 17, NOV_30 + 10.25 * HOUR + 41
SPENT = NOV_30 + 20 * HOUR  # nothing is asked from here on
NO_NETWORK = state_of("ok", network="unknown not_probed")
TARGET = Target(
    name="prod",
    url="http://10.0.0.7:6185",
    keys=MappingProxyType({"k": Key(name="k", secret=Secret("s3cr3t"))}),
)
READS = Plan(
    target=TARGET,
    probe=Probe(name="reads", function=None, interval_s=MINUTE, scopes=(), costs_tokens=False, summary=""),
    interval_s=MINUTE,
)


def utc(text: str) -> float:
    return time.mktime(time.strptime(text, "%Y-%m-%d %H:%M:%S UTC")) - time.timezone


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    """Exporter, and the folder of its history, at the end of the day."""
    folder = tmp_path_factory.mktemp("state")
    clock = {"now": NOV_30}

    def now() -> float:
        return clock["now"]

    records = StateHistory(folder, clock=now)
    config = Config(source="test", targets={"prod": TARGET}, state_dir=folder)
    exporter = Exporter(config, [READS], past=records, clock=now)
    for minute in range(24 * 60):
        at = clock["now"] = NOV_30 + minute * MINUTE + 1
        if at >= SPENT:
            exporter.skip(READS, "budget")
            run = ProbeRun(
                target="prod", url=TARGET.url, probe="reads", verdict=None, started_at=at, duration_s=0.0,
                skipped="budget",
            )  # fmt: skip
        else:
            failed = WENT <= at < CAME
            verdict = Verdict.failed(Outcome.CONNECT, "10.0.0.7") if failed else Verdict.passed()
            run = ProbeRun(
                target="prod", url=TARGET.url, probe="reads", verdict=verdict, started_at=at, duration_s=0.0,
                used_key=not failed,
            )  # fmt: skip
        exporter.finished(run)
    records.flush()
    yield exporter, folder
    records.close()


def pages(exporter: Exporter, *paths: str) -> list[str]:
    async def go() -> list[str]:
        transport = httpx.ASGITransport(exporter.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
            return [(await client.get(path)).text for path in paths]

    return asyncio.run(go())


def test_the_status_page_names_the_incident_to_a_probe_interval(day):
    landing, public = pages(day[0], "/", "/status")
    for page in (landing, public):
        (told,) = re.findall(r"<li>network: (.+? UTC) to (.+? UTC),\s+(.+)", page)
        began, ended = utc(told[0]), utc(told[1])
        assert 0 <= began - WENT <= MINUTE
        assert 0 <= ended - CAME <= MINUTE
        assert 'title="30 Nov 09:00: network failed for 29 min"' in page
        assert re.search(r'class="none" title="01 Nov: not watched"', page)
        assert "up 96.25 % of 1,200 runs" in page  # 45 of the 1,200 that were asked
    assert "nothing listens at its address" in landing
    assert not any(
        hidden in public for hidden in ("10.0.0.7", "s3cr3t", "nothing listens", "reads", "connect")
    )


def test_the_report_names_it_too_and_what_was_not_asked_is_neither_up_nor_down(day):
    report = MonthReport.read(day[1], "2026-11", now=NOV_30 + 24 * HOUR)
    markdown = report.markdown()
    row = next(line for line in markdown.splitlines() if line.startswith("| network"))
    _, _, share, down, up, unknown, runs, _ = (cell.strip() for cell in row.split("|"))
    assert (share, down, runs) == ("96.25 %", "45 min", "1,200")
    assert up == "19 h 14 min"
    assert unknown.startswith("29 d")  # the month before, and the budget's end
    (told,) = re.findall(r"\| (.+? UTC) \| (.+? UTC) \| 45 min \| network \| (.+) \|", markdown)
    assert 0 <= utc(told[0]) - WENT <= MINUTE
    assert 0 <= utc(told[1]) - CAME <= MINUTE
    assert told[2] == "AstrBot is stopped, or the network to it is broken: nothing listens at its address"
    assert "240 runs were skipped" in markdown
    assert "10.0.0.7" not in markdown
    html = report.html()
    assert '<td class="n" data-is="available">96.25 %</td>' in html
    assert "nothing listens at its address" in html


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ({"prod": DOWN}, "2026-11-30 02:00:00 UTC, not over"),
        ({"main": WELL}, "2026-11-30 01:59:00 UTC, then not known"),  # another name
        ({"prod": NO_NETWORK}, "2026-11-30 01:59:00 UTC, then not known"),  # no probe of it any more
        ({"prod": WELL}, "2026-11-30 02:00:00 UTC"),
    ],
)
def test_an_outage_whose_end_nobody_saw_is_not_said_to_last_or_to_be_over(last, said, tmp_path):
    clock = {"now": NOV_30}
    history = StateHistory(tmp_path, clock=lambda: clock["now"])
    for minute in range(121):
        clock["now"] = NOV_30 + minute * MINUTE
        history.note({"prod": DOWN} if minute < 120 else last)
    history.close()
    report = MonthReport.read(tmp_path, "2026-11", now=NOV_30 + 3 * HOUR).markdown()
    assert re.findall(r"\| 2026-11-30 00:00:00 UTC \| (.+?) \|", report) == [said]


def test_a_month_is_that_of_utc():
    began, ended = month_of("2026-02")
    assert (time.gmtime(began)[:3], ended - began) == ((2026, 2, 1), 28 * 86400)


@pytest.mark.parametrize("text", ["2026", "2026-13", "26-01", "2026-1", "november"])
def test_another_way_to_write_a_month_is_refused(text):
    with pytest.raises(ValueError, match="YYYY-MM expected"):
        month_of(text)
