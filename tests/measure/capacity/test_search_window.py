"""When a window may be judged: at once if nothing can change it, else after waiting, or with more samples."""

import pytest

from astrometer.measure.capacity.next_load import StepVerdict
from astrometer.measure.capacity.search_window import WindowNeeds, is_searchable, judge_window, margin
from astrometer.measure.slo.slo_parser import parse_objective
from astrometer.measure.tally.exchange_stats import Stats
from astrometer.measure.tally.histogram import Histogram

P90 = "ttft_p90 < 1s"


def window(*, fast=0, slow=0, failed=0, running=0):
    stats = Stats(started=fast + slow + failed + running)
    stats.outcomes.update({"ok": fast + slow, "timeout_total": failed})
    stats.missed["ttft"] = failed
    stats.ok["ttft"].merge(Histogram([0.1] * fast + [2.0] * slow))
    stats.good = fast
    return stats


def said(stats, *slos, thorough=False, may_wait=True, may_extend=True):
    return judge_window(
        [parse_objective(slo) for slo in slos or (P90,)], lambda _: stats,
        thorough=thorough, may_wait=may_wait, may_extend=may_extend,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("stats", "verdict"),
    [
        (window(fast=180, slow=20), StepVerdict.PASS),
        (window(fast=179, slow=21), StepVerdict.FAIL),
        (window(fast=180, failed=21), StepVerdict.FAIL),  # a failure is infinitely slow
        (window(fast=190, running=10), StepVerdict.PASS),  # were all of them slow, it would still pass
        (window(fast=190, running=40), WindowNeeds.WAIT),
        (window(fast=100, slow=60, running=400), StepVerdict.FAIL),
        (window(slow=11), StepVerdict.FAIL),  # 89 good ones more, and still it fails
        (window(fast=30), StepVerdict.THIN),
        (window(fast=30, slow=5), WindowNeeds.EXTEND),  # suspicious, and too little to say it
        (window(), WindowNeeds.EXTEND),
    ],
)
def test_a_window_is_judged_as_soon_as_nothing_can_change_it(stats, verdict):
    assert said(stats) is verdict


def test_a_boundary_is_measured_until_there_are_samples_enough():
    assert said(window(fast=30), thorough=True) is WindowNeeds.EXTEND
    assert said(window(fast=30), thorough=True, may_extend=False) is StepVerdict.THIN
    assert said(window(fast=100), thorough=True) is StepVerdict.PASS


def test_turns_that_never_end_count_as_bad_at_last():
    assert said(window(fast=190, running=40), may_wait=False) is StepVerdict.FAIL


def test_the_worst_objective_decides():
    stats = window(fast=200, failed=3)
    assert said(stats, P90) is StepVerdict.PASS
    assert said(stats, P90, "errors < 1%") is StepVerdict.FAIL
    assert said(stats, P90, "goodput > 98%") is StepVerdict.PASS
    assert said(stats, "timeout_total <= 1%") is StepVerdict.FAIL


def test_a_maximum_allows_nothing():
    assert said(window(fast=50), "ttft_max < 1s") is StepVerdict.PASS
    assert said(window(fast=50, slow=1), "ttft_max < 1s") is StepVerdict.FAIL


def test_the_margin_is_that_of_the_worst_objective():
    slos = [parse_objective(slo) for slo in (P90, "errors < 2%", "goodput > 90%")]
    assert margin(slos, lambda _: window(fast=99, failed=1)) == pytest.approx(0.5)
    assert margin(slos, lambda _: window(fast=80, slow=20)) == pytest.approx(2, rel=0.01)
    assert margin(slos, lambda _: Stats()) is None


@pytest.mark.parametrize(
    ("slo", "searchable"),
    [("ttft_p95 < 1s", True), ("ok > 99%", True), ("throughput > 3/s", False)],
)
def test_only_limits_that_load_breaks_can_be_searched_for(slo, searchable):
    assert is_searchable(parse_objective(slo)) is searchable
