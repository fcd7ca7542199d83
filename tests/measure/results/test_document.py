"""A merged tally -> the results file, and back."""

import json

import pytest
from causes import kinds, sentences
from ended_exchanges import INFO, NOW, call, tally_of, turn

from astrometer.api.outcome import Outcome
from astrometer.measure.results import document
from astrometer.measure.results.document import ResultsError, build
from astrometer.measure.results.run_info import RunInfo
from astrometer.measure.slo.slo_parser import parse_objectives
from astrometer.measure.slo.validity import GeneratorHealth
from astrometer.measure.tally.histogram import Histogram
from astrometer.measure.tally.tally import Tally
from astrometer.measure.tally.windows import Window


def test_started_is_the_sum_of_the_outcomes():
    tally = tally_of(turn(), turn(Outcome.CUTOFF), call(), call(Outcome.UNAUTHORIZED))
    content = build(tally, INFO)
    assert content["turns"] == {
        "started": 4,
        "outcomes": {"cutoff": 1, "ok": 2, "unauthorized": 1},
        "excluded": 0,
        "excluded_outcomes": {},
        "resent": 0,
        "uncounted": 0,
    }
    assert content["verdict"] == "NONE"


def test_an_exchange_that_was_never_accounted_for_makes_the_run_invalid():
    tally = tally_of(turn())
    tally.started("mixed", "chat", NOW)
    content = build(tally, INFO)
    assert content["verdict"] == "INVALID"
    assert sentences(content) == ["1 exchange(s) started and never accounted for"]


def test_percentiles_of_too_few_samples_are_null_and_histograms_are_inside():
    summary = build(tally_of(turn(), turn()), INFO)["metrics"]["ttft"]
    assert (summary["n"], summary["p50"], summary["p99"]) == (2, None, None)
    assert Histogram.decode(summary["histogram"]).n == 2


@pytest.mark.parametrize(
    ("health", "cause"),
    [
        ({"loop_lag_p99_s": 0.021}, "event-loop lag p99 21 ms is above 20 ms"),
        ({"schedule_lag_p99_s": 0.2}, "schedule lag p99 200 ms is above 50 ms"),
        ({"cpu_max": 0.97}, "CPU of a load process 97% is above 90%"),
        ({"loop_lag_p99_s": 0.0203}, "event-loop lag p99 20.3 ms is above 20 ms"),
        ({"schedule_lag_p99_s": 0.05004}, "schedule lag p99 50.04 ms is above 50 ms"),
        ({"cpu_max": 0.904}, "CPU of a load process 90.4% is above 90%"),
        ({"lost_workers": 1}, "1 worker(s) lost, and what they had not yet reported"),
    ],
)
def test_a_generator_that_was_the_bottleneck_makes_the_run_invalid(health, cause):
    info = RunInfo(scenario="s", url="u", start=NOW, duration_s=1.0, generator=GeneratorHealth(**health))
    content = build(tally_of(turn()), info)
    assert content["verdict"] == "INVALID"
    assert sentences(content) == [cause]


@pytest.mark.parametrize(
    ("slo", "verdict"),
    [("ttft_p50 < 2s", "PASS"), ("ttft_p50 < 100ms", "FAIL"), ("ttft_p99 < 2s", "INVALID")],
)
def test_the_verdict_is_that_of_the_objectives_and_missing_data_is_no_pass(slo, verdict):
    info = RunInfo(scenario="s", url="u", start=NOW, duration_s=1.0, objectives=parse_objectives([slo]))
    content = build(tally_of(*[turn() for _ in range(25)]), info)
    assert content["verdict"] == verdict
    assert content["objectives"][0]["text"] == slo


def test_the_file_is_json_that_comes_back_as_it_was(tmp_path):
    content = build(tally_of(turn(), turn(Outcome.RESET)), INFO)
    path = document.write(tmp_path / "new" / "dir", content)
    assert document.read(path) == document.read(path.parent) == json.loads(json.dumps(content))
    assert [item.name for item in path.parent.iterdir()] == ["results.json"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "cannot be read"),
        ("{", "not valid JSON"),
        ("[]", "has no schema_version"),
        ('{"schema_version": 99}', "schema_version 99 is newer"),
        ('{"schema_version": 1}', "schema_version 1 is older"),
    ],
)
def test_a_file_that_is_no_results_file_is_named_with_the_reason(tmp_path, text, reason):
    path = tmp_path / "results.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ResultsError, match=reason) as error:
        document.read(path)
    assert str(path) in str(error.value)


def test_what_began_in_the_warm_up_is_accounted_for_and_not_measured():
    tally = Tally(window=Window(excluded_s=10.0))
    for began, ttft in ((NOW, 9.0), (NOW + 9.9, 9.0), (NOW + 10.0, 0.2)):
        tally.started("chat", "chat", began)
        tally.finished("chat", "chat", began, turn(ttft=ttft))
    shipped = Tally.decode(tally.take().encode())
    info = RunInfo(scenario="s", url="u", start=NOW, duration_s=30.0, excluded_s=10.0)
    content = build(shipped, info)
    assert content["turns"] == {
        "started": 3, "outcomes": {"ok": 3}, "excluded": 2, "excluded_outcomes": {"ok": 2},
        "resent": 0, "uncounted": 0,
    }  # fmt: skip
    assert content["metrics"]["ttft"]["n"] == 1
    assert content["metrics"]["ttft"]["max"] == pytest.approx(0.2, rel=1e-3)
    assert content["window"]["duration_s"] == 20.0
    assert content["throughput_per_s"] == pytest.approx(1 / 20)
    assert content["scenarios"]["chat"]["turns"]["excluded"] == 2
    assert sum(step["turns"]["started"] for step in content["timeline"]["steps"]) == 3


def test_a_run_that_measured_nothing_is_invalid():
    assert kinds(build(Tally(), INFO)) == ["nothing_measured"]
