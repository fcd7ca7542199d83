import math
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrometer.measure.tally.histogram import Histogram
from astrometer.report import formatting
from astrometer.report.charts import run_charts, svg
from astrometer.report.charts.columns import MAX_COLUMNS, columns


def test_columns_lose_no_exchange(passed):
    found = columns(passed)
    assert sum(column.started for column in found) == passed["turns"]["started"]
    assert sum(column.ok for column in found) == passed["turns"]["outcomes"]["ok"]
    assert sum(column.histogram("ttft").n for column in found) == passed["metrics"]["ttft"]["n"]


def test_columns_begin_and_end_with_the_window_and_touch(passed):
    found = columns(passed)
    assert found[0].t0_s == pytest.approx(0, abs=0.01)
    assert found[-1].t1_s == pytest.approx(30)
    for before, after in pairwise(found):
        assert before.t1_s == pytest.approx(after.t0_s)


def test_after_a_warm_up_the_last_column_ends_with_the_window_too(make):
    """Times are since the run's start; the window is what comes after the warm-up."""
    found = columns(make(excluded_s=8.0, duration_s=41.0))
    assert found[-1].t1_s == pytest.approx(41)
    assert all(column.width_s > 0 for column in found)
    short = columns(make(excluded_s=20.0, duration_s=38.0))  # 18 s of window are no end
    assert short[-1].t1_s == pytest.approx(38)
    assert all(before.t1_s == pytest.approx(after.t0_s) for before, after in pairwise(short))


def test_a_long_run_is_merged_into_few_columns(make):
    results = make(chats=1200, calls=0, duration_s=3600)
    found = columns(results)
    assert 45 <= len(found) <= MAX_COLUMNS
    assert sum(column.histogram("e2e").n for column in found) == results["metrics"]["e2e"]["n"]


def test_no_timeline_is_no_chart(empty):
    assert columns(empty) == []
    assert run_charts.traffic([]) is None
    assert run_charts.over_time([], "ttft") is None
    assert run_charts.distribution(empty, "ttft") is None


def test_the_bars_of_a_distribution_hold_every_sample(passed):
    drawing = run_charts.distribution(passed, "chunk_gap").drawing
    counts = [int(n.replace(",", "")) for n in re.findall(r"to [^:<]*: ([\d,]+)</title>", drawing)]
    assert sum(counts) == passed["metrics"]["chunk_gap"]["n"]


def test_the_marked_percentiles_are_those_of_the_file(passed):
    drawing = run_charts.distribution(passed, "ttft").drawing
    assert f"p95 {formatting.duration(passed['metrics']['ttft']['p95'])}" in drawing


def test_a_withheld_percentile_is_not_marked(tiny):
    drawing = run_charts.distribution(tiny, "ttft").drawing
    assert "p50 " in drawing
    assert "p95 " not in drawing


@given(st.lists(st.floats(1e-6, 3500), min_size=1, max_size=200))
def test_any_durations_can_be_drawn(values):
    summary = {
        "n": len(values),
        "p50": None,
        "p95": None,
        "p99": "inf",
        "histogram": Histogram(values).encode(),
    }
    chart = run_charts.distribution({"metrics": {"e2e": summary}, "metrics_all_attempts": {}}, "e2e")
    numbers = re.findall(r'(?:x|y|width|height|x1|x2|y1|y2)="(-?[\d.]+)%?"', chart.drawing)
    assert all(math.isfinite(float(number)) for number in numbers)
    heights = [int(n.replace(",", "")) for n in re.findall(r"to [^:<]*: ([\d,]+)</title>", chart.drawing)]
    assert sum(heights) == len(values)


@given(st.floats(1e-6, 1e9))
def test_linear_ticks_are_few_and_reach_the_top(high):
    ticks = svg.linear_ticks(high, str)
    assert ticks[0].at == 0
    assert ticks[-1].at >= high * (1 - 1e-6)
    assert 2 <= len(ticks) <= 7


@given(st.floats(1e-4, 100), st.floats(4, 1e6))
def test_log_ticks_stay_within_and_some_are_labelled(low, factor):
    high = low * factor
    ticks = svg.log_ticks(low, high, lambda value: f"{value:g}")
    assert all(low * 0.99 <= tick.at <= high * 1.01 for tick in ticks)
    assert any(tick.label for tick in ticks)


def test_a_scale_clamps_what_lies_outside():
    scale = svg.Scale(low=0.001, high=1, log=True)
    assert (scale(0.0), scale(0.0316227766), scale(50)) == (0.0, pytest.approx(0.5), 1.0)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 %"), (1, "100 %"), (0.99999, "> 99.9 %"), (0.00001, "< 0.1 %"), (0.5, "50.0 %"), (None, "–")],
)
def test_a_share_is_never_rounded_to_all_or_nothing(value, text):
    assert formatting.share(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123, "0.12/s"), (9.999, "10.0/s"), (99.99, "100/s"), (1234.5, "1,234/s"), (None, "–")],
)
def test_rates_have_three_digits(value, text):
    assert formatting.rate(value) == text


@pytest.mark.parametrize(("value", "text"), [(9999, "9,999"), (33899, "33.8k"), (4_199_999, "4.1M")])
def test_brief_counts_never_flatter(value, text):
    assert formatting.brief_count(value) == text


@pytest.mark.parametrize(("value", "text"), [(None, "–"), ("inf", "∞"), (0.25, "250 ms")])
def test_durations_of_a_results_file(value, text):
    assert formatting.duration(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(999, "999 B"), (2048, "2.0 kB"), (3e6, "3.0 MB"), (5e10, "50.0 GB")]
)
def test_sizes(value, text):
    assert formatting.size(value) == text
