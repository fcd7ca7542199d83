"""Requests of the locustfile's own: in every report, apart from the exchanges."""

import html
import io

import pytest
from rich.console import Console

from astrometer.measure.results.other_requests import OtherRequests, other_requests_json
from astrometer.report.html import render_html
from astrometer.report.summary import render_summary
from astrometer.report.table import render

LINE = ": 60 in all (2.00/s), 20 failed (TimeoutError 20), p50 40.0 ms, max 40.0 ms, 6.0 kB received"
TITLE = "Requests of the locustfile's own"


@pytest.fixture
def results(make):
    own = OtherRequests()
    for number in range(60):
        failure = "TimeoutError" if number < 20 else None
        own.add("DB", "look up \x1b[31m", 0.04, length=100, failure=failure)
    return {**make(), "other_requests": other_requests_json(own.rows, 30.0)}


def test_they_are_in_every_report(results, visible):
    console = Console(record=True, width=120, file=io.StringIO())
    console.print(render(results))
    for shown in (console.export_text(), html.unescape(visible(render_html(results)))):
        assert TITLE in shown
        assert LINE in shown
        assert "DB look up" in shown
        assert "\x1b" not in shown
    assert TITLE in render_summary(results)


def test_without_any_nothing_is_said(make, visible):
    results = make()
    assert TITLE not in html.unescape(visible(render_html(results)))
    assert TITLE not in render_summary(results)
