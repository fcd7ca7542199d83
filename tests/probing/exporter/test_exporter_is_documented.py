"""Metrics and exporter pages against the code: nothing undocumented, nothing invented."""

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from astrometer.config import exporter_settings, tables
from astrometer.config.settings import Config
from astrometer.measure.tally import histogram
from astrometer.probing.exporter.exporter_app import Exporter
from astrometer.probing.exporter.metrics import ProbeMetrics
from astrometer.probing.exporter.on_demand import ScrapeAnswer, one_run_registry
from astrometer.probing.verdict import ProbeRun, Verdict

DOCS = Path(__file__).parents[3] / "docs"
METRICS = (DOCS / "reference" / "metrics.md").read_text("utf-8")
EXPORTER = (DOCS / "reference" / "exporter.md").read_text("utf-8")


def section(text: str, heading: str) -> str:
    return re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)[1]


def rows(text: str) -> set[tuple[str, ...]]:
    found = [line.strip().strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    return {tuple(cell.strip().strip("`").replace("` `", " ") for cell in row) for row in found}


def documented(heading: str) -> set[tuple[str, ...]]:
    named = rows(section(METRICS, heading))
    return {row for row in named if row[0].startswith(("astrbot_", "probe_"))}


def test_every_metric_of_a_run_on_demand_is_documented(bench):
    plan = bench.plan(bench.target("all"), None)
    run = ProbeRun(target="sim", url="", probe="p", verdict=Verdict.passed(), started_at=0.0, duration_s=1.0)
    shared = CollectorRegistry()
    ProbeMetrics(shared)
    known = {family.name for family in shared.collect()}
    made = one_run_registry(plan, ScrapeAnswer(run=run), None, exporter_settings.ExporterSettings()).collect()
    assert documented("`/probe`") == {
        (family.name, family.type, "", family.documentation) for family in made if family.name not in known
    }


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("time_to_first_event", histogram.TTFT_BUCKETS_S),
        ("inter_chunk_gap", histogram.GAP_BUCKETS_S),
        ("duration", histogram.DURATION_BUCKETS_S),
    ],
)
def test_the_boundaries_are_documented(name, bounds):
    row = next(row for row in rows(METRICS) if len(row) == 2 and row[0].startswith(name))
    assert tuple(float(bound) for bound in row[1].split()) == tuple(map(float, bounds))


TABLES: dict[str, type[BaseModel]] = {
    "": tables.FileTable,
    "targets.NAME": tables.TargetTable,
    "targets.NAME.keys.KEY": tables.KeyTable,
    "targets.NAME.budget": tables.BudgetTable,
    "targets.NAME.messenger": tables.MessengerTable,
    "probes.PROBE": tables.ProbeTable,
    "slo": tables.SloTable,
    "exporter": tables.ExporterTable,
    "notify": tables.NotifyTable,
}


def test_every_key_of_the_config_is_documented():
    stated = {row[0] for row in rows(section(EXPORTER, "The config file"))}
    inner = {"targets", "probes", "slo", "exporter", "keys", "budget", "messenger", "notify"}
    known = {
        f"{table}.{name}".lstrip(".")
        for table, model in TABLES.items()
        for name in model.model_fields
        if name not in inner or (table, name) in (("probes.PROBE", "targets"), ("notify", "targets"))
    }
    assert stated == known


def test_every_endpoint_is_documented():
    endpoints = {row[0].split("?")[0] for row in rows(section(EXPORTER, "Endpoints"))}
    exporter = Exporter(Config(source="test", targets={}), [])
    served = {route.path.replace("{number}", "N") for route in exporter.app._app.routes}
    assert {endpoint.removeprefix("POST ") for endpoint in endpoints} == served
