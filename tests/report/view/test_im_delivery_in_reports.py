"""What a reader sees of IM pushes: what arrived, or that nobody looked."""

import io

import pytest
from causes import sentences
from rich.console import Console

from astrometer.measure.results.document import write
from astrometer.report.html import render_html
from astrometer.report.summary import render_summary
from astrometer.report.table import render


def table(results) -> str:
    out = io.StringIO()
    Console(file=out, width=140, no_color=True, _environ={}).print(render(results))
    return out.getvalue()


def test_losses_and_latency_are_in_the_table(make, watched):
    text = table(make(im_delivery=watched()))
    assert "IM delivery: 192 of 240 delivered, lost 48, duplicates 0, in the wrong order 0" in text
    assert "IM delivery latency: p50 75.0 ms, p95 –, p99 –, max 75.0 ms (n 192)" in text
    assert "IM bursts: 20, 20 with losses; worst: 9 of 12 delivered, slowest 75.0 ms" in text


def test_the_page_and_the_summary_say_the_same(make, watched, visible):
    results = make(im_delivery=watched())
    assert "192 of 240 delivered, lost 48" in visible(render_html(results))
    assert "192 of 240 delivered, lost 48" in render_summary(results)


def test_what_was_not_delivered_is_infinitely_slow_for_an_objective(make, watched):
    results = make(im_delivery=watched(), slos=("delivery_p90 < 1s",))
    assert results["objectives"][0]["value"] == "inf"
    assert results["verdict"] == "FAIL"
    kept = make(im_delivery=watched(lose_every=1000), slos=("delivery_p90 < 1s",))
    assert (kept["verdict"], kept["metrics"]["delivery"]["n"]) == ("PASS", 240)


def test_without_a_common_clock_there_are_counts_and_no_times(make, watched, tmp_path):
    results = make(im_delivery=watched(latency_refused="the sink is on another machine"))
    seen = results["im_delivery"]
    assert (seen["lost"], seen["latency"], seen["bursts"]["worst"]["latency_max_s"]) == (48, None, None)
    assert "not known, the sink is on another machine" in table(results)
    write(tmp_path, results)


def test_messages_that_the_sink_forgot_make_the_run_invalid(make, watched):
    results = make(im_delivery=watched(forgotten=7))
    assert results["verdict"] == "INVALID"
    assert "the IM sink forgot 7 message(s) before they were read" in sentences(results)


@pytest.mark.parametrize("operation", ["im", "push"])
def test_without_a_sink_the_report_says_acceptance_only_if_there_were_pushes(make, operation):
    results = make()
    for item in results["operations"]:
        item["operation"] = item["operation"].replace("push", operation)
    assert ("acceptance only" in table(results)) == (operation == "im")
    assert results["im_delivery"] is None
