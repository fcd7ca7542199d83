"""docs/reference/results.md against a real results file: nothing undocumented, nothing invented."""

import re
from pathlib import Path

import pytest
from server_usages import usage
from workloads import BUSIEST

from astrometer.api.metric_table import METRICS
from astrometer.measure.capacity.next_load import SearchEnd
from astrometer.measure.results import document as results_file
from astrometer.measure.server_pulse import ServerPulse
from astrometer.measure.server_usage import ServerEnd, ServerEndKind
from astrometer.measure.slo.drift import Drift, DriftKind, Steadiness
from astrometer.measure.slo.found_warm_up import FoundWarmUp
from astrometer.measure.slo.run_verdict import Stop, StopReason
from astrometer.measure.slo.validity import CauseKind, GeneratorHealth, OpenArrivals
from astrometer.measure.tally.histogram import MIN_SAMPLES
from astrometer.measure.tally.odd_streams import SIGNS, streams_json

DOC = (Path(__file__).parents[2] / "docs" / "reference" / "results.md").read_text("utf-8")
FREE_NAMES = {"environment", "scenarios", "outcomes", "excluded_outcomes", "streams", "tokens", "bytes"}
FREE_NAMES |= {"matched_by", "link", "astrbot_bugs", "series"}
SUMMARY_HOLDERS = {"metrics", "metrics_all_attempts", "metrics_failed"}
STATS = {
    "turns", "throughput_per_s", "goodput", "stalls", "streams", "astrbot_bugs", "network", "tokens", "bytes",
} | SUMMARY_HOLDERS  # fmt: skip


def documented(heading: str) -> set[str]:
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", DOC, flags=re.MULTILINE | re.DOTALL)[1]
    return set(re.findall(r"^\| `([^`]+)`", section, flags=re.MULTILINE))


def paths(value, prefix=""):
    """Every leaf's path, with NAME for free names and [] for lists."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            free = prefix.rsplit(".", maxsplit=1)[-1] in FREE_NAMES
            name = "NAME" if free else key
            yield from paths(item, f"{prefix}.{name}" if prefix else name)
    elif isinstance(value, list):
        for item in value:
            yield from paths(item, f"{prefix}[]")
        if not value:
            yield f"{prefix}[]"
    else:
        is_free = value == {} and prefix.rsplit(".", maxsplit=1)[-1] in FREE_NAMES
        yield f"{prefix}.NAME" if is_free else prefix


def all_stats(results):
    yield results
    yield from results["scenarios"].values()
    yield from results["operations"]
    yield from results["timeline"]["steps"]
    yield from results["stages"]
    yield from results["uploads"]["sizes"]


@pytest.fixture(scope="module")
def real(make, watched):
    failing = GeneratorHealth(loop_lag_p99_s=0.1)
    arrivals = OpenArrivals(process="poisson", seed=1, rate_per_s=5, expected=150, intended=151)
    stages = (results_file.LoadStage(name="ramp", start_s=0, end_s=30, peak=20),)
    stop = Stop(by=StopReason.BUDGET, sentence="the token budget was spent", at_s=30.0)
    made = make(
        generator=failing, im_delivery=watched(), arrivals=arrivals, stages=stages, stop=stop,
        messenger={"links_lost": 1}, pulse=ServerPulse(), workload=BUSIEST,
        server=usage(ended=ServerEnd(t_s=61.0, how=ServerEndKind.GONE)),
    )  # fmt: skip
    bug = {"two_event_loops": {"turns": 1, "of": 9, "share": 1 / 9}}
    kept = {"file": "r.jsonl.gz", "lines": 9, "lost": 1, "problem": "No space left on device"}
    streams = streams_json({"streams": 9, "blank_lead": 1})
    drift = Drift(
        metric="ttft", kind=DriftKind.TREND, before=0.5, after=0.6, per_minute=0.02, at_s=None, chance=1e-6,
        stage=None,
    )  # fmt: skip
    made["window"]["warm_up"] = FoundWarmUp(least_s=1.0, until_s=9.0, metrics=("ttft",), part_s=5.0).to_json()
    made["steadiness"] = Steadiness(tested=("ttft",), parts=54, part_s=10.0, drifts=(drift,)).to_json()
    return {**made, "streams": streams, "astrbot_bugs": bug, "records": kept}


def test_every_field_of_the_file_is_documented_and_every_documented_field_exists(real):
    own = {key: value for key, value in real.items() if key not in STATS}
    own["scenarios"] = dict.fromkeys(real["scenarios"])
    own["operations"] = [{k: v for k, v in item.items() if k not in STATS} for item in real["operations"]]
    steps = [{k: v for k, v in item.items() if k not in STATS} for item in real["timeline"]["steps"]]
    own["stages"] = [{k: v for k, v in item.items() if k not in STATS} for item in real["stages"]]
    for stage in own["stages"]:
        assert {key for item in stage["objectives"] for key in item} == set(real["objectives"][0])
        stage["objectives"] = []
        stage["causes"] = []
    assert own["im_delivery"]["latency"]
    own["im_delivery"] = {**own["im_delivery"], "latency": None}
    own["timeline"] = {**real["timeline"], "steps": steps}
    sizes = [{k: v for k, v in item.items() if k not in STATS} for item in real["uploads"]["sizes"]]
    own["uploads"] = {**real["uploads"], "sizes": sizes}
    assert set(paths(own)) | {"im_delivery"} == documented("The file") - {"uploads"}


def test_every_field_of_the_statistics_is_documented_and_every_documented_field_exists(real):
    found = set()
    for stats in all_stats(real):
        assert set(stats) >= STATS
        own = {key: stats[key] for key in STATS - SUMMARY_HOLDERS}
        found |= set(paths(own)) | {f"{key}.NAME" for key in SUMMARY_HOLDERS if stats[key]}
    assert found - {"tokens", "bytes"} == documented("Statistics")
    assert documented("Odd streams") == set(SIGNS)


def test_every_field_of_a_summary_is_documented_and_every_documented_field_exists(real):
    own = documented("A summary")
    plain = own - {"error_s", "uncertain"}
    for stats in all_stats(real):
        assert all(set(summary) == own for summary in stats["metrics"].values())
        for key in SUMMARY_HOLDERS - {"metrics"}:
            assert all(set(summary) == plain for summary in stats[key].values())
    assert set(real["im_delivery"]["latency"]) == plain


def test_every_metric_is_documented():
    assert documented("Metrics") == set(METRICS)


def test_every_kind_of_cause_is_documented():
    assert documented("Causes") == {kind.value for kind in CauseKind}


def test_the_documented_thresholds_are_those_of_the_code():
    section = DOC[DOC.index("## A summary") :]
    told = {
        int(p): int(n.replace(",", "")) for p, n in re.findall(r"`p(\d+)` \|[^|]*below ([\d,]+)", section)
    }
    assert told == MIN_SAMPLES


def test_the_documented_schema_version_is_the_current_one():
    assert f"| `schema_version` | {results_file.SCHEMA_VERSION} |" in DOC


def test_the_reading_example_runs(real, tmp_path, monkeypatch, capsys):
    results_file.write(tmp_path, real)
    monkeypatch.chdir(tmp_path)
    exec(re.search(r"```python\n(.*?)```", DOC, flags=re.DOTALL)[1], {})
    assert capsys.readouterr().out.startswith("INVALID ['loop_lag']\nchat ")


@pytest.mark.parametrize(
    ("row", "kinds", "also"), [("stopped.by", StopReason, {"stopped"}), ("end", SearchEnd, set())]
)
def test_every_reason_to_end_is_documented(row, kinds, also):
    text = re.search(rf"^\| `{re.escape(row)}` \| (.*) \|$", DOC, flags=re.MULTILINE)[1]
    assert set(re.findall(r"`(\w+)`", text)) - also == {kind.value for kind in kinds}
