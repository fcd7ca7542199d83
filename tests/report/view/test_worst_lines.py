"""What was worst is shown where no percentile tells it: a rate limit that held up one chat of thirty."""

import pytest

from astrometer.report.html import render_html
from astrometer.report.summary import render_summary
from astrometer.report.view.time_lines import worst_lines


def waited(results, *, most, usual=0.001, n=31):
    summary = {**results["metrics"]["ttft"], "n": n, "p50": usual, "p95": None, "max": most}
    return {**results, "metrics": {**results["metrics"], "gate_wait": summary}}


def test_a_gate_that_held_one_chat_up_is_in_every_report(passed, visible):
    line = "Longest: gate wait 50.30 s (p50 1.0 ms, n 31)"
    results = waited(passed, most=50.3)
    assert worst_lines(results) == [line]
    assert line in visible(render_html(results))
    assert "Longest: gate wait 50.30 s" in render_summary(results)


@pytest.mark.parametrize(
    ("most", "usual", "said"),
    [(0.9, 0.001, False), (5.0, 4.0, False), (5.0, 1.0, True), (5.0, None, True), (None, None, False)],
)
def test_nothing_is_said_of_what_is_short_or_usual(passed, most, usual, said):
    assert bool(worst_lines(waited(passed, most=most, usual=usual))) is said
