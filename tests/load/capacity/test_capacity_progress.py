"""The line of progress that a measured step leaves."""

import pytest
from asked_search import asked_search
from causes import LAG

from astrometer.load.capacity.capacity_progress import progress_line
from astrometer.measure.capacity.next_load import MAX_INVALID, StepVerdict
from astrometer.measure.capacity.search_step import SearchStep
from astrometer.measure.slo.slo_parser import parse_objectives
from astrometer.measure.tally.exchange_stats import Stats
from astrometer.measure.tally.histogram import Histogram

OBJECTIVES = parse_objectives(["ttft_p50 < 1s"])


def line(verdict, *, causes=(), invalid=0, slow=0, fast=0):
    stats = Stats(started=slow + fast)
    stats.outcomes["ok"] = slow + fast
    stats.ok["ttft"].merge(Histogram([0.1] * fast + [3.0] * slow))
    step = SearchStep(
        level=2,
        start_s=0,
        end_s=10,
        verdict=verdict,
        stats={None: stats},
        completed=slow + fast,
        causes=causes,
    )
    return progress_line(asked_search("1", "50"), OBJECTIVES, 3, step, invalid)


def test_an_objective_that_failed_on_few_samples_is_out_of_reach():
    shown = line(StepVerdict.FAIL, slow=15)
    assert "FAIL     ttft_p50 not reachable any more ✗ (n=15)" in shown
    assert "too few samples" not in shown
    assert "ttft_p50 too few samples (n=15)" in line(StepVerdict.THIN, fast=15)


@pytest.mark.parametrize(
    ("invalid", "end"),
    [(1, "; measuring again (2 of 2)"), (MAX_INVALID, "event-loop lag p99 30 ms is above 20 ms)")],
)
def test_a_window_that_is_measured_again_says_so(invalid, end):
    assert line(StepVerdict.INVALID, causes=[LAG], invalid=invalid, fast=20).endswith(end)
