"""How often a probe must run for its alerts: the docs against the thresholds, what we ship against both."""

import re
import tomllib
from collections import defaultdict

import pytest
import yaml
from dashboard_files import GRAFANA

from astrometer import bundled
from astrometer.config import loader
from astrometer.measure.tally.histogram import MIN_SAMPLES
from astrometer.probing.budget import Ledger
from astrometer.probing.daily_cost import daily_costs
from astrometer.probing.plan import make_plans
from astrometer.probing.probe_files import load_folder
from astrometer.probing.status.state_by_layer import NEEDED, WINDOW_S
from astrometer.units import parse_duration

ROOT = GRAFANA.parent
THRESHOLDS = tomllib.loads((GRAFANA / "rules/thresholds.toml").read_text("utf-8"))


def slowest() -> dict[str, list[float]]:
    """Alert -> the longest interval at which a probe that always fails keeps it firing, for each variant."""
    t, failures = THRESHOLDS, THRESHOLDS["guard"]["min_failures"]
    burns = [parse_duration(burn["long"]) / failures for burn in t["burn"]]
    pages = [limit for limit, burn in zip(burns, t["burn"], strict=True) if burn["severity"] == "page"]
    found = {
        "AvailabilityBurn": burns,
        "TTFTBurn": burns,
        "UpstreamLLMFailing": pages,
        "BudgetExhausted": [parse_duration(t["budget_exhausted"]["window"])],
        "ProbeStale": [parse_duration(t["stale"]["skipped_within"])],
        "TTFTDegraded": [parse_duration(t["degraded"]["window"]) / MIN_SAMPLES[50]],
        **{
            key.title().replace("_", ""): [parse_duration(table["window"]) / table["count"]]
            for key, table in t.items()
            if "count" in table
        },
    }
    return {f"AstrBot{alert}": limits for alert, limits in found.items()}


def test_the_docs_say_how_often_a_probe_must_run():
    text = (
        (ROOT / "docs/reference/alerting.md")
        .read_text("utf-8")
        .partition("### How often a probe must run")[2]
    )
    table = re.findall(r"^\| (AstrBot.*?) \| .*? \| (.*?) \|$", text, re.MULTILINE)
    stated = {alert: limits.split(", ") for alerts, limits in table for alert in alerts.split(", ")}
    assert {
        alert: [parse_duration(limit) for limit in limits] for alert, limits in stated.items()
    } == slowest()


def test_the_docs_say_how_long_a_page_stays():
    text = (
        (ROOT / "docs/reference/alerting.md").read_text("utf-8").partition("### Why a page stays a while")[2]
    )
    burns = [burn["keep_firing_for"] for burn in THRESHOLDS["burn"] if burn["severity"] == "page"]
    others = {one["keep_firing_for"] for one in THRESHOLDS.values() if "keep_firing_for" in one}
    stated = re.findall(r"stays? for (\d+ \w+)", text.partition("\n### ")[0])
    assert stated == [f"{parse_duration(kept) / 60:.0f} minutes" for kept in (*burns, *others)]


def configurations() -> dict[str, str]:
    manifests = yaml.safe_load_all((ROOT / "deploy/kubernetes/exporter.yaml").read_text("utf-8"))
    (made,) = [item["data"]["astrometer.toml"] for item in manifests if item["kind"] == "ConfigMap"]
    page = (ROOT / "docs/how-to/watch-production.md").read_text("utf-8")
    return {
        "compose": (GRAFANA / "astrometer.example.toml").read_text("utf-8"),
        "kubernetes": made,
        "watch-production": re.search(r"```toml\n(.*?)```", page, re.DOTALL)[1],
    }


@pytest.mark.parametrize("name", configurations())
def test_what_we_ship_and_document_probes_often_enough_for_its_alerts(name, tmp_path):
    (tmp_path / "key").write_text("abk_example")
    text = re.sub(r'file = "[^"]+"', 'file = "key"', configurations()[name])
    (tmp_path / "astrometer.toml").write_text(text)
    probes = load_folder(bundled.folder("probes")).probes
    plans = make_plans(loader.load(tmp_path / "astrometer.toml", {}), probes)
    every = defaultdict(list)
    for plan in plans:
        every["asks" if plan.probe.costs_tokens else "reads"].append(plan.interval_s)
    limits = slowest()
    assert max(every["reads"]) <= WINDOW_S / NEEDED  # AstrBotDown and AstrBotKeyRejected within 15 minutes
    assert max(every["asks"] + every["reads"]) <= limits["AstrBotProbeStale"][0]
    # The chat, which has the model asked most often, tells soon; every other one within days.
    for alert in ("TTFTDegraded", "CanaryMismatch", "Truncated", "Stalled", "CleanupFailing"):
        assert min(every["asks"]) <= limits[f"AstrBot{alert}"][0], alert
    assert min(every["asks"]) <= max(limits["AstrBotUpstreamLLMFailing"])
    assert min(every["asks"]) <= limits["AstrBotBudgetExhausted"][0]
    assert max(every["asks"]) <= max(limits["AstrBotAvailabilityBurn"])
    (cost,) = daily_costs(plans, Ledger())
    assert cost.wanted < 100_000
    assert cost.wanted <= (cost.target.budget.tokens_per_day or cost.wanted)
