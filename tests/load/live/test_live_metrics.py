"""Prometheus metrics of a running test: there at 0 before it, right at its end, clean for promtool."""

import json
import re
import subprocess
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from required import needs
from waiting import until
from web_locust import free_port, web_locust

from astrometer.api.outcome import Outcome
from astrometer.measure.slo.validity import GENERATOR_CAUSES
from astrometer.measure.tally.histogram import Histogram

pytestmark = pytest.mark.process

METRICS = (Path(__file__).parents[3] / "docs" / "reference" / "metrics.md").read_text("utf-8")
P = "astrbot_load_"
HISTOGRAMS = {
    "time_to_first_token_seconds": "ttft",
    "inter_chunk_gap_seconds": "chunk_gap",
    "end_to_end_seconds": "e2e",
    "duration_seconds": "duration",
}


def finished(web, **form):
    """Run a short test to its end."""
    assert web.swarm(**form)["success"]
    until(lambda: web.stats()["state"] == "stopped")
    until(lambda: f"{P}run_stop_timestamp_seconds" in web.metrics())


@pytest.mark.parametrize("processes", [(), ("--processes", "2")])
def test_the_counts_at_the_end_are_those_of_the_results(sim, tmp_path, processes):
    out = ("--astrometer-out", str(tmp_path))
    with web_locust(sim, "mixed", *out, *processes, "--target-version", "4.29.3") as web:
        finished(web, shape="12:5s")
        until((tmp_path / "results.json").exists)
        results = json.loads((tmp_path / "results.json").read_text())
        metrics = web.metrics()
    for name, stats in results["scenarios"].items():
        one = f'{{scenario="{name}"}}'
        assert metrics[f"{P}started_total{one}"] == stats["turns"]["started"]
        assert metrics[f"{P}in_flight{one}"] == 0
        for outcome in Outcome:
            series = f'{P}turns_total{{outcome="{outcome.value}",scenario="{name}"}}'
            assert metrics[series] == stats["turns"]["outcomes"].get(outcome.value, 0)
        for series, metric in HISTOGRAMS.items():
            summary = stats["metrics"].get(metric)
            assert metrics[f"{P}{series}_count{one}"] == (summary["n"] if summary else 0)
            if summary:
                within = Histogram.decode(summary["histogram"]).count_at_most(0.1)
                assert metrics[f'{P}{series}_bucket{{le="0.1",scenario="{name}"}}'] == within
    host = sim.url
    assert metrics[f'{P}run_info{{scenario="mixed",target="{host}",version="4.29.3"}}'] == 1
    assert metrics[f"{P}generator_processes"] == (2 if processes else 1)
    invalid = {cause["kind"] for cause in results["causes"]}
    for kind in GENERATOR_CAUSES:
        assert metrics[f'{P}generator_invalid{{cause="{kind.value}"}}'] == (kind.value in invalid)
    stopped, started = metrics[f"{P}run_stop_timestamp_seconds"], metrics[f"{P}run_start_timestamp_seconds"]
    assert stopped - started == pytest.approx(5, abs=1)


def test_objectives_are_told_so_far_and_two_runs_of_one_process_are_told_apart(sim):
    judged = ("--slo", "chat: ok > 1%", "--slo", "chat: ok > 1%", "--slo", "errors < 1%")
    with web_locust(sim, "mixed", *judged, "--slo", "ttft_p99 < 1s", "--slo", "throughput > 1000/s") as web:
        finished(web, shape="12:2s")
        first = web.series()
        finished(web, shape="12:2s")
        second = web.series()
    (one,), (two,) = (
        {series for series in found if series.startswith(f"{P}run_start")} for found in (first, second)
    )
    assert one < two  # in order
    assert [series for series in second if one.split("{")[1] in series] == []
    run = one.split("{")[1].removesuffix("}")
    told = {
        name: {
            series.split('objective="')[1].split('"')[0]: value
            for series, value in first.items()
            if series.startswith(f"{P}objective_{name}") and run in series
        }
        for name in ("limit", "value", "samples", "met")
    }
    ok, rare, errors, rate = "chat: ok > 1%", "ttft_p99 < 1s", "errors < 1%", "throughput > 1000/s"
    assert told["limit"] == {ok: 0.01, rare: 1, errors: 0.01, rate: 1000}
    assert told["met"] == {ok: 1, errors: 1, rate: 0}
    assert told["value"].keys() == {ok, errors, rate}
    assert told["samples"][rare] < 1000
    assert f'{P}objective_limit{{measure="ttft_p99",objective="{rare}",{run}}}' in first


def test_known_series_are_at_0_before_the_first_test(sim):
    with web_locust(sim, "mixed") as web:
        metrics = web.metrics()
    for name in ("chat", "uploads", "im_bursts", "reads"):
        assert metrics[f'{P}started_total{{scenario="{name}"}}'] == 0
        assert metrics[f'{P}turns_total{{outcome="truncated",scenario="{name}"}}'] == 0
        assert metrics[f'{P}inter_chunk_gap_seconds_bucket{{le="5.0",scenario="{name}"}}'] == 0
    assert not any("_created" in series for series in metrics)
    assert f"{P}run_start_timestamp_seconds" not in metrics
    assert f"{P}arrivals_per_second" not in metrics


@pytest.mark.promtool
def test_promtool_finds_nothing_to_complain_of(sim):
    needs("promtool", "promtool")
    port = free_port()
    with web_locust(sim, "mixed", "--astrometer-metrics-port", str(port)) as web:
        finished(web, shape="20/s:3s")
        page = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
        series = {line.rsplit(" ", 1)[0] for line in page.splitlines() if not line.startswith("#")}
        assert series == set(web.series())
        assert f"{P}arrivals_per_second" in web.metrics()
        assert httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).status_code == 404
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=page, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_metric_is_documented_with_its_type_labels_and_help(sim):
    with web_locust(sim, "chat") as web:
        finished(web, shape="2:1s")
        page = web.client.get("/metrics").text
    rows = re.findall(r"^\| `(astrbot_load_\w+)` \| (\w+) \|(.*?)\| (.*) \|$", METRICS, re.MULTILINE)
    documented = {row[0]: (row[1], set(re.findall(r"`(\w+)`", row[2])), row[3]) for row in rows}
    told = {}
    for family in text_string_to_metric_families(page):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = set().union(*(sample.labels for sample in family.samples))
        assert ("run" in labels) is (bool(labels) and name != f"{P}build_info")
        labels -= {"le", "run"}
        if not family.samples and name in documented:  # no process of the server, no objective, no search
            labels = documented[name][1]
        told[name] = (family.type, labels, family.documentation)
    assert told == documented


def test_a_port_that_is_taken_is_an_error_before_the_start(sim):
    taken = sim.url.rsplit(":", 1)[1]
    done = subprocess.run(
        sim.command("chat", "--astrometer-metrics-port", taken),
        env=sim.environment(), capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"--astrometer-metrics-port: 127.0.0.1:{taken}: " in done.stderr
